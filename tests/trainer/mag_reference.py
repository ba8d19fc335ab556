"""Reads the golden numbers of MAG's released code into our networks (see tests/golden/mag/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_comparisons import note
from mamba_reference import Places, RecordedDraws, recorded_window, take_positions
from torch import Tensor

from trainer.experience.window import Window
from trainer.nets.perceptron import FeatureHead
from trainer.policy.actor_critic import make_actor
from trainer.policy.distributions import Categorical
from trainer.world_model.model import WorldModel
from trainer.world_model.model_error import make_error_predictor, model_error
from trainer.world_model.posteriors import Posteriors
from trainer.world_model.settings import ErrorLabel, LossSettings, WorldModelSettings

FOLDER = Path(__file__).parents[1] / "golden" / "mag"
PUBLISHED_LOSS = LossSettings(reset_action_on_first=False, across_episodes=True, drop_last_row=True)


@dataclass(frozen=True)
class Golden:
    """The recorded set, and our networks holding its weights."""

    dtype: torch.dtype
    dims: dict[str, int]
    data: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    scalars: dict[str, float]
    model: WorldModel
    actor: FeatureHead
    predictor: FeatureHead
    parameters: dict[str, list[tuple[Tensor, str]]]

    def ids(self, name: str) -> Tensor:
        return torch.from_numpy(self.samples[name].astype(np.int64))

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.outputs[name]).to(self.dtype)

    def close(self, ours: Tensor, name: str, *, wide: bool = False) -> None:
        tolerance = 1e-5 if wide or self.dtype is torch.float32 else 1e-9
        expected = self.outputs[name].reshape(ours.shape)
        np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance, err_msg=name)
        note(name)

    def close_scalar(self, ours: Tensor, name: str) -> None:
        tolerance = 1e-5 if self.dtype is torch.float32 else 1e-9
        assert float(ours.detach()) == pytest.approx(self.scalars[name], rel=tolerance, abs=tolerance), name
        note(name)

    def window(self) -> Window:
        return recorded_window(self.data, self.dtype)

    def posteriors(self, part: str) -> Posteriors:
        draws = RecordedDraws(latent=list(self.ids(f"{part}.post_ids")), action=[], available=[])
        with torch.no_grad():
            return self.model.observe(self.window(), draws.latent, reset_action_on_first=False)

    def label(self, kind: ErrorLabel) -> Tensor:
        return model_error(self.model, self.window(), self.posteriors("label"), PUBLISHED_LOSS, label=kind)


def load_golden(dtype: torch.dtype) -> Golden:
    data, samples, weights, outputs = (
        dict(np.load(FOLDER / f"dev_{part}.npz")) for part in ("data", "samples", "weights", "out64")
    )
    meta = json.loads((FOLDER / "dev_meta.json").read_text())
    dims = meta["dims"]
    settings = WorldModelSettings(hidden=dims["hidden"], recurrent=dims["gru"], heads=dims["heads"], dropout=0.0)
    model = WorldModel(
        settings,
        agents=dims["agents"],
        observation_size=dims["obs"],
        actions=Categorical(dims["actions"]),
        action_masks=True,
    ).to(dtype)
    actor = make_actor(settings, outputs=dims["actions"]).to(dtype)
    predictor = make_error_predictor(settings).to(dtype)
    places = Places(model, actor)
    places.head("error_predictor", predictor)
    places.fill(weights)
    take_positions(model.rssm.communication, weights["comm.pos_table"])
    return Golden(
        dtype=dtype,
        dims=dims,
        data=data,
        samples=samples,
        outputs=outputs,
        scalars=meta["scalars_float64"],
        model=model,
        actor=actor,
        predictor=predictor,
        parameters=places.parameters,
    )
