"""MAMuJoCo: robots whose joints are shared out among agents, on gymnasium-robotics."""
