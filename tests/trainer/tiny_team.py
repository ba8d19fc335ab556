"""Small settings, networks and worlds for the trainer's tests: everything real, nothing bigger than it must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import VectorEnvironment
from trainer.algorithms.mamba.mamba import Mamba
from trainer.algorithms.mamba.settings import MambaSettings
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings
from trainer.training.training import Training

torch.set_num_threads(1)  # two threads on a small product cost more than they bring

SMALL_WORLD = (
    "threads=1",
    "device=cpu",
    "environment.copies=4",
    "schedule.steps_per_iteration=3",
    "schedule.stop_at_outcome=2.0",  # out of reach
    "evaluation.episodes=8",
    "evaluation.every=2",
    "evaluation.final_episodes=8",
    "replay.capacity=400",
    "replay.window=4",
    "replay.batch=4",
    "replay.minimum=20",
)
_SMALL_LEARNING = (
    "model_updates=1",
    "model.hidden=16",
    "model.recurrent=16",
    "model.categoricals=4",
    "model.classes=8",
    "policy.rounds=1",
    "policy.horizon=2",
    "policy.epochs=1",
    "policy.critic_heads=2",
    "policy.warm_up_updates=0",
)
SMALL = (
    *SMALL_WORLD,
    *(f"mamba.{each}" for each in _SMALL_LEARNING),
    "mamba.model.heads=2",
    "mamba.model.communication_layers=1",
)
"""Overrides that shrink any preset of MAMBA to milliseconds per iteration."""
SMALL_MABL = (*SMALL_WORLD, *(f"mabl.{each}" for each in _SMALL_LEARNING))
SMALL_MARIE = (
    *SMALL_WORLD,
    *(
        f"marie.{each}"
        for each in (
            "tokenizer.tokens=3",
            "tokenizer.hidden=16",
            "tokenizer.codebook.size=8",
            "tokenizer.codebook.width=4",
            "tokenizer.updates=2",
            "tokenizer.batch=8",
            "model.context=4",
            "model.width=16",
            "model.layers=1",
            "model.heads=2",
            "model.perceiver.cross_heads=2",
            "model.perceiver.cross_width=8",
            "model.perceiver.inner_layers=1",
            "model.perceiver.inner_heads=2",
            "model.perceiver.inner_width=8",
            "model.available_hidden=16",
            "model_updates=2",
            "model_warm_up=0",
            "policy.hidden=16",
            "policy.stack=2",
            "policy.rounds=1",
            "policy.horizon=2",
            "policy.start_states=8",
            "policy.epochs=1",
            "policy.critic_heads=2",
            "policy.warm_up_updates=0",
        )
    ),
)
_SMALL_PPO = ("ppo.sequence=4", "ppo.epochs=2", "ppo.minibatches=2")
SMALL_MAPPO, SMALL_IPPO, SMALL_HAPPO = (
    (*SMALL_WORLD, *(f"{section}.{each}" for each in ("hidden=16", "recurrent=12", *_SMALL_PPO)))
    for section in ("mappo", "ippo", "happo")
)
SMALL_COMMNET, SMALL_TARMAC = (
    (
        *SMALL_WORLD,
        *(
            f"{section}.{each}"
            for each in ("hidden=16", "recurrent=12", "categoricals=4", "classes=8", *own, *_SMALL_PPO)
        ),
    )
    for section, own in (("commnet", ()), ("tarmac", ("signature=1", "attention=4")))
)
SMALL_ATTENTION_PPO = (
    *SMALL_WORLD,
    *(
        f"attention_ppo.policy.{each}"
        for each in ("hidden=16", "recurrent=12", "categoricals=4", "classes=8", "heads=2")
    ),
    *(f"attention_ppo.{each}" for each in _SMALL_PPO),
)
SMALL_MAZERO = (
    *SMALL_WORLD,
    *(
        f"mazero.{each}"
        for each in (
            "updates=1",
            "unroll=2",
            "target_every=4",
            "model.hidden=16",
            "model.heads=2",
            "model.communication_layers=1",
            "model.representation_layers=[12]",
            "model.dynamics_layers=[12]",
            "model.reward_layers=[8]",
            "model.value_layers=[8]",
            "model.policy_layers=[8]",
            "model.projection_hidden=8",
            "model.projection=8",
            "model.predictor_hidden=4",
            "search.simulations=4",
            "search.samples=3",
            "targets.steps=2",
        )
    ),
)
SMALL_QMIX = (
    *SMALL_WORLD,
    *(
        f"qmix.{each}"
        for each in (
            "hidden=16",
            "recurrent=12",
            "updates=2",
            "mixer.width=4",
            "mixer.hypernetwork=8",
            "exploration.steps=60",
            "td.target_every=3",
        )
    ),
)
SMALL_OF = {
    "qmix": SMALL_QMIX,
    "mazero": SMALL_MAZERO,
    "mamba": SMALL,
    "mag": SMALL,
    "mabl": SMALL_MABL,
    "marie": SMALL_MARIE,
    "mappo": SMALL_MAPPO,
    "ippo": SMALL_IPPO,
    "happo": SMALL_HAPPO,
    "attention-ppo": SMALL_ATTENTION_PPO,
    "commnet": SMALL_COMMNET,
    "tarmac": SMALL_TARMAC,
}
"""By algorithm."""


def small_settings(
    preset: str = "relay-signal", *overrides: str, env_steps: int = 96, small: tuple[str, ...] = SMALL
) -> TrainSettings:
    return load_settings(preset, [*small, f"schedule.env_steps={env_steps}", *overrides])


def small_mamba_settings(**model: Any) -> MambaSettings:
    """A small model whose latents are informative without training."""
    sizes = {
        "hidden": 16,
        "recurrent": 12,
        "categoricals": 4,
        "classes": 8,
        "heads": 2,
        "communication_layers": 3,
        "posterior_scale": 20.0,
    }
    return MambaSettings.model_validate({"model": sizes | model, "policy": {"critic_heads": 2}})


def small_team(
    environment: str, parameters: dict[str, Any], *, copies: int = 4, seed: int = 0, **model: Any
) -> tuple[Mamba, VectorEnvironment]:
    """An untrained team and its world."""
    world = registry.make(environment, count=copies, parameters=parameters, permission=EVERYTHING)
    torch.manual_seed(seed)
    return Mamba(small_mamba_settings(**model), world.spec, device=torch.device("cpu")), world


class Silent:
    """A `Progress` that tells nobody, and stops the run after an iteration if asked to."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self.stop_after = stop_after
        self.training: Training | None = None

    def iteration(self, record: dict[str, Any], *, share: float) -> None:
        if record["iteration"] == self.stop_after:
            assert self.training is not None
            self.training.stop()


def start(path: Path, settings: TrainSettings, *, stop_after: int | None = None) -> Training:
    return _training(RunFolder.create(path, settings), resume=False, stop_after=stop_after)


def resume(path: Path, *, stop_after: int | None = None) -> Training:
    return _training(RunFolder.open(path), resume=True, stop_after=stop_after)


def _training(folder: RunFolder, *, resume: bool, stop_after: int | None) -> Training:
    progress = Silent(stop_after=stop_after)
    progress.training = Training(folder, progress, resume=resume, permission=EVERYTHING)
    return progress.training
