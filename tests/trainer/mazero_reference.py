"""Reads the golden numbers of MAZero's released code into our networks (see tests/golden/mazero/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_comparisons import Comparisons
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.settings import MazeroModelSettings

FOLDER = Path(__file__).parents[1] / "golden" / "mazero"


@dataclass(frozen=True)
class MazeroReference:
    """The golden set, arrays by name, and our networks holding its weights."""

    dtype: torch.dtype
    meta: dict[str, Any]
    data: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    model: MazeroModel
    delayed: MazeroModel

    folder = FOLDER

    @property
    def scalars(self) -> dict[str, Any]:
        return self.meta["scalars_float64"]

    @property
    def constants(self) -> dict[str, float]:
        return self.meta["constants"]

    @property
    def compare(self) -> Comparisons:
        return Comparisons(self.outputs, self.scalars)

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(self.dtype)

    def ids(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.int64))


def recorded_meta() -> dict[str, Any]:
    return json.loads((FOLDER / "dev_meta.json").read_text())


def model_settings(dims: dict[str, Any]) -> dict[str, Any]:
    """The recorded sizes as settings of ours."""
    low, high = dims["value_support"]
    reward_low, reward_high = dims["reward_support"]
    return {
        "frames": dims["frames"],
        "hidden": dims["hidden"],
        "representation_layers": dims["encoder_layers"],
        "dynamics_layers": dims["dynamics_layers"],
        "reward_layers": dims["reward_layers"],
        "value_layers": dims["value_layers"],
        "policy_layers": dims["policy_layers"],
        "communication_layers": dims["comm_layers"],
        "heads": dims["heads"],
        "dropout": 0.0,
        "projection_hidden": dims["projection_hidden"],
        "projection": dims["projection_out"],
        "predictor_hidden": dims["predictor_hidden"],
        "value_support": {"low": low, "high": high},
        "reward_support": {"low": reward_low, "high": reward_high},
    }


def recorded_spec(dims: dict[str, Any]) -> EnvironmentSpec:
    """Of the world of scripted episodes."""
    return EnvironmentSpec(
        id="scripted",
        agents=dims["agents"],
        observation_size=dims["obs"],
        actions=dims["actions"],
        episode_limit=12,
        complete_graph=True,
        outcome="return",
        has_action_mask=True,
    )


def load_mazero_reference(dtype: torch.dtype) -> MazeroReference:
    meta = recorded_meta()
    parts = {part: dict(np.load(FOLDER / f"dev_{part}.npz")) for part in ("data", "samples", "weights", "out64")}
    settings, spec = MazeroModelSettings.model_validate(model_settings(meta["dims"])), recorded_spec(meta["dims"])
    model, delayed = (MazeroModel(settings, spec).to(dtype) for _ in range(2))
    load_recorded(model, parts["weights"])
    load_recorded(delayed, parts["weights"], prefix="target.")
    return MazeroReference(
        dtype=dtype,
        meta=meta,
        data=parts["data"],
        samples=parts["samples"],
        outputs=parts["out64"],
        model=model,
        delayed=delayed,
    )


def load_recorded(model: MazeroModel, weights: dict[str, np.ndarray], prefix: str = "") -> None:
    """Take over all recorded weights; every parameter of ours gets one."""
    places = recorded_places(model)
    with torch.no_grad():
        for name, parameter in places.items():
            parameter.copy_(torch.from_numpy(weights[prefix + name]))
        positions = model.dynamics.communication.block.positions
        recorded = torch.from_numpy(weights["comm.pos_table"][0, : len(positions)])
        torch.testing.assert_close(positions.float(), recorded, rtol=0, atol=1e-6)
        positions.copy_(recorded)
    assert {id(each) for each in places.values()} == {id(each) for each in model.parameters()}


def recorded_places(model: MazeroModel) -> dict[str, nn.Parameter]:
    """Our parameters by the recorded names."""
    modules: dict[str, nn.Module] = {"obs_norm": model.representation.norm, "comm.input": None}
    communication = model.dynamics.communication
    modules["comm.input"] = communication.token
    for index, layer in enumerate(communication.block.layers):
        modules |= {
            f"comm.layer{index}.attn.in_proj": layer.projection_in,
            f"comm.layer{index}.attn.out_proj": layer.projection_out,
            f"comm.layer{index}.ffn.0": layer.feed_forward[0],
            f"comm.layer{index}.ffn.1": layer.feed_forward[2],
            f"comm.layer{index}.norm1": layer.norm_attention,
            f"comm.layer{index}.norm2": layer.norm_feed_forward,
        }
    for name, layers in (
        ("encoder", model.representation.layers),
        ("dynamics", model.dynamics.layers),
        ("reward", model.reward),
        ("value", model.value),
        ("policy", model.policy),
        ("projection", model.consistency.projection),
        ("predictor", model.consistency.predictor),
    ):
        norms = 0
        for place, layer in enumerate(layers):
            if isinstance(layer, nn.Linear):
                modules[f"{name}.linear{place // 3}"] = layer
            elif isinstance(layer, nn.LayerNorm):
                modules[f"{name}.final_norm" if place % 3 == 0 else f"{name}.norm{norms}"] = layer
                norms += 1
    return {f"{name}.{kind}": getattr(module, kind) for name, module in modules.items() for kind in ("weight", "bias")}


class RecordedSearch:
    """Replays the recorded draws of a search; at a choice along the recorded path, the recorded child."""

    def __init__(self, noise: np.ndarray | None, sampled: np.ndarray, path_child: np.ndarray) -> None:
        """Noise [R, N, A] (None: it does not matter), joint actions [R, S + 1, K, N], children [R, S, L]."""
        self._noise, self._sampled, self._path = noise, sampled.astype(np.int64), path_child
        self._nodes = 0
        roots, nodes, samples, _ = sampled.shape
        self._child = np.full((roots, nodes, samples), -1)

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        return torch.ones_like(like) if self._noise is None else torch.from_numpy(self._noise).to(like.dtype)

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        self._nodes += 1
        drawn = torch.from_numpy(self._sampled[:, self._nodes - 1])
        assert bool((probabilities.gather(-1, drawn.transpose(1, 2)) > 0).all())
        return drawn

    def child(self, tied: Tensor) -> Tensor:
        chosen, simulation = tied.float().argmax(-1), tied.shape[1] - 1
        for root, path in enumerate(self._path[:, simulation]):
            node = 0
            for slot in path[path >= 0].tolist():
                # A root's first visits are in order and nobody is asked.
                assert node == 0 or tied[root, node, slot]
                chosen[root, node] = slot
                before, node = node, self._child[root, node, slot]
                self._child[root, before, slot] = node if node >= 0 else simulation + 1
        return chosen
