"""MAZero as the golden numbers were made with it: its settings, its replay, and the batch that was drawn from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mazero_reference import MazeroReference, RecordedSearch, load_recorded, model_settings, recorded_spec

from trainer.algorithms.mazero.mazero import Mazero
from trainer.algorithms.mazero.settings import MazeroSettings
from trainer.experience.batch import Batch
from trainer.experience.columns import PRIORITY
from trainer.experience.replay import Replay
from trainer.experience.rows import empty_rows
from trainer.experience.settings import ReplaySettings


class AtPlaces:
    """A random generator whose numbers lead to chosen places of shares that add up."""

    def __init__(self, shares: np.ndarray, places: np.ndarray) -> None:
        ends = np.cumsum(shares)
        self._numbers = (ends[places] - shares[places] / 2) / ends[-1]

    def random(self, count: int) -> np.ndarray:
        assert count == len(self._numbers)
        return self._numbers


def recorded_settings(reference: MazeroReference, **loss: Any) -> MazeroSettings:
    dims, numbers, scalars = reference.meta["dims"], reference.constants, reference.scalars
    return MazeroSettings.model_validate(
        {
            "unroll": dims["unroll"],
            "model": model_settings(dims),
            "search": {
                "simulations": dims["replay_simulations"],
                "samples": dims["draws_per_node"],
                "quantile": numbers["rho"],
                "decay": numbers["lam"],
                "discount": numbers["discount"],
                "noise_fraction": numbers["root_noise_fraction"],
                "noise_concentration": numbers["root_dirichlet"],
            },
            "targets": {"steps": numbers["td_steps"], "stale_after": scalars["target.auto_td_steps"]},
            "loss": {
                "alpha": numbers["alpha"],
                "weight_clip": numbers["weight_clip"],
                "two_hot": "published",
                "consistency_beyond_end": True,
                **loss,
            },
            "optimiser": {
                "learning_rate": numbers["learning_rate"],
                "epsilon": numbers["adam_eps"],
                "gradient_clip": numbers["grad_clip"],
            },
            "priority": {
                "exponent": numbers["priority_exponent"],
                "correction_updates": numbers["training_steps"] + numbers["last_steps"],
            },
        }
    )


def recorded_mazero(reference: MazeroReference, **loss: Any) -> Mazero:
    """With the recorded weights, after the recorded number of updates."""
    spec = recorded_spec(reference.meta["dims"])
    mazero = Mazero(recorded_settings(reference, **loss), spec, device=torch.device("cpu"))
    weights = np.load(reference.folder / "dev_weights.npz")
    for model, prefix in ((mazero.model, ""), (mazero.delayed, "target.")):
        load_recorded(model.to(reference.dtype), weights, prefix)
    mazero.learned.updates = 7
    mazero.draws = RecordedSearch(
        *(reference.samples[f"reanalyse.{name}"][searched(reference)] for name in ("noise", "sampled", "path_child"))
    )
    return mazero


def searched(reference: MazeroReference) -> np.ndarray:
    """Which of the recorded searches begin within an episode: the others were made and thrown away."""
    return np.flatnonzero(reference.data["batch.mask"].reshape(-1))


def recorded_replay(mazero: Mazero, reference: MazeroReference) -> Replay:
    """The recorded episodes in one ring, and the beginning of another, since an episode ends where one begins."""
    settings = ReplaySettings(capacity=100, window=2, batch=reference.meta["dims"]["batch"], minimum=1)
    replay = Replay(settings, mazero.spec, copies=1, columns=mazero.columns())
    data, done = reference.data, 0
    for number, length in enumerate(reference.scalars["replay.lengths"]):
        rows, steps = empty_rows(mazero.spec, length + 1, columns=replay.columns), slice(done, done + length)
        rows.observation[:] = data["replay.observation"][done + number :][: length + 1]
        rows.action_mask[:-1], rows.action_mask[-1] = data["replay.legal"][steps] > 0, True
        rows.action[1:], rows.reward[1:] = data["replay.action"][steps], data["replay.reward"][steps, None]
        rows.first[0], rows.terminated[-1], rows.present[:] = True, True, True
        replay.add(np.zeros(length + 1, dtype=np.int64), rows)
        done += length
    begun = empty_rows(mazero.spec, 1, columns=replay.columns)
    begun.first[:] = True
    replay.add(np.zeros(1, dtype=np.int64), begun)
    return replay


def recorded_batch(mazero: Mazero, replay: Replay, reference: MazeroReference) -> Batch:
    """The recorded batch, drawn by the recorded priorities, in the networks' type; its ages count steps alone."""
    priority, index = reference.data["per.priority"], reference.data["batch.index"].astype(np.int64)
    lengths = reference.scalars["replay.lengths"]
    places = np.concatenate(
        [
            np.arange(length) + start
            for length, start in zip(lengths, np.cumsum([0, *lengths[:-1]]) + range(5), strict=True)
        ]
    )
    replay._rows.columns[PRIORITY][0, places] = priority
    exponent = mazero.settings.priority.exponent
    batch = mazero.sample(replay, AtPlaces(priority.astype(np.float64) ** exponent, index))
    assert batch.index.place[0].tolist() == places[index].tolist()
    age = torch.from_numpy(reference.scalars["replay.transitions"] - index)
    return typed(replace(batch, age=age), reference.dtype)


def typed(batch: Batch, dtype: torch.dtype) -> Batch:
    window = batch.window
    columns = {name: value.to(dtype) if value.is_floating_point() else value for name, value in window.columns.items()}
    window = replace(window, observation=window.observation.to(dtype), reward=window.reward.to(dtype), columns=columns)
    return replace(batch, window=window, weight=batch.weight.to(dtype))
