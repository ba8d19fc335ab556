"""Model-free baselines on the same worlds, loop and evaluation: MAPPO and Attention-PPO.

Only the trainer may import it.
"""
