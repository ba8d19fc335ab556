"""IPPO: independent PPO (de Witt et al. 2020, "Is independent learning all you need in the StarCraft challenge?").

MAPPO without anything central: actor and critic are shared by the agents, as there, and see what an agent sees.
"""

from __future__ import annotations

from trainer.algorithms.model_free.critics import OwnCritic
from trainer.algorithms.model_free.shared_policy import SharedPolicy


class Ippo(SharedPolicy):
    """An `Algorithm`."""

    name = "ippo"
    critic_kind = OwnCritic
