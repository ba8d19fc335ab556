"""The agent node: one process per agent, with its local model, its peers, its inbox and its clock.

As a library: `Agent` runs a bundle step by step, `InProcessTeam` runs a whole team without a network.
It imports neither torch nor a simulator nor the other roles.
"""
