"""Model-free baselines on the same worlds, loop and evaluation: MAPPO, Attention-PPO, and what others share with them.

Only the trainer may import it.
"""

from trainer.algorithms.registry import AlgorithmEntry, Curves

CURVES = Curves(label="critic and policy", metrics=("policy/critic_loss", "policy/entropy"))

MAPPO = AlgorithmEntry(
    summary="PPO with recurrent agents that hear nobody, and a critic that sees everything",
    algorithm="trainer.algorithms.model_free.mappo:Mappo",
    sections={"mappo": "trainer.algorithms.model_free.settings:MappoSettings"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
ATTENTION_PPO = AlgorithmEntry(
    summary="PPO with MAMBA's messages, learned from the policy's gradient alone",
    algorithm="trainer.algorithms.model_free.attention_ppo:AttentionPpo",
    sections={"attention_ppo": "trainer.algorithms.model_free.settings:AttentionPpoSettings"},
    inherits={"mappo": "attention_ppo"},
    on_policy=True,
    mixed=True,
    ranks=True,
    curves=CURVES,
)
