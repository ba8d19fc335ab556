"""`Marie` with the recorded weights of the released code, its recorded start states and draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from golden_comparisons import note
from mamba_reference import RecordedDraws
from marie_model_reference import Places, fill_actor, fill_critic, fill_model, model_settings
from marie_reference import Recorded, load_recorded
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.marie.imagination import ImaginedStarts
from trainer.algorithms.marie.marie import Marie
from trainer.algorithms.marie.settings import MarieSettings
from trainer.policy.imagined import ImaginedRollout

STORED_IN_FLOAT32 = 2e-5
PARTS = {"main": ("wm", "imag", "ppo", ""), "alt": ("wm_alt", "imag_alt", "ppo_alt", "_nostack")}
"""Names of the world model's, imagination's and PPO's arrays, and the ending of actor's and critic's."""


@dataclass(frozen=True)
class Golden:
    """The recorded set, and `Marie` holding its weights."""

    configuration: str
    set: Recorded
    marie: Marie
    model: Places
    actor: Places
    critic: Places

    @property
    def main(self) -> bool:
        return self.configuration == "main"

    @property
    def tolerance(self) -> float:
        return self.set.tolerance

    def close(self, ours: Tensor, name: str, *, part: Any = ..., tolerance: float = 0.0) -> None:
        """Equal to a recorded array; float32 is held against the float64 run, too."""
        expected = self.set.exact[name][part]
        loosest = max(self.tolerance, tolerance, STORED_IN_FLOAT32 if expected.dtype == np.float32 else 0.0)
        found = ours.detach().double().numpy().reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=loosest, atol=loosest, err_msg=name)
        note(name)

    def close_scalar(self, ours: Tensor | float, name: str, *, tolerance: float = 0.0) -> None:
        loosest = max(self.tolerance, tolerance)
        found = float(ours.detach()) if isinstance(ours, Tensor) else ours
        assert found == pytest.approx(self.set.scalars[name], rel=loosest, abs=loosest), name
        note(name)


def load(configuration: str, dtype: torch.dtype, *, epochs: int = 1, at_once: int = 0) -> Golden:
    found, ending = load_recorded(dtype), PARTS[configuration][3]
    dims = found.dims
    settings = MarieSettings.model_validate(
        {
            "tokenizer": found.tokenizer().settings.model_dump(),
            "model": model_settings(configuration, dims),
            "loss": {"observation": "published", "available": "published"},
            "optimiser": {"at_once": at_once},
            "policy": {
                "hidden": dims["hidden"],
                "stack": dims["stack"] if configuration == "main" else 1,
                "horizon": dims["horizon"] - 1,
                "force_available": False,
                "reward_sharing": "individual" if configuration == "main" else "team",
                "epochs": epochs,
            },
        }
    )
    spec = EnvironmentSpec(
        id="recorded",
        agents=dims["agents"],
        observation_size=dims["obs"],
        actions=dims["actions"],
        episode_limit=16,
        complete_graph=True,
        outcome="return",
        has_action_mask=True,
    )
    marie = Marie(settings, spec, device=torch.device("cpu"))
    for network in marie.modules().values():
        network.to(dtype)
    marie.tokenizer.load_state_dict(found.tokenizer().state_dict())
    return Golden(
        configuration,
        found,
        marie,
        model=fill_model(marie.model, found),
        actor=fill_actor(marie.actor, f"actor{ending}", found),
        critic=fill_critic(marie.critic, f"critic{ending}", found),
    )


class Watch:
    """What modules have put out, in the order of their calls."""

    def __init__(self, **modules: nn.Module) -> None:
        self.outputs: dict[str, list[Tensor]] = {name: [] for name in modules}
        self.inputs: dict[str, list[Tensor]] = {name: [] for name in modules}
        for name, module in modules.items():
            module.register_forward_hook(self._keep(name))

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.inputs[name].append(inputs[0].detach())
            self.outputs[name].append(output.detach())

        return hook

    def one(self, name: str) -> Tensor:
        (output,) = self.outputs[name]
        return output


def starts_of(golden: Golden) -> ImaginedStarts:
    data, prefix = golden.set.data, f"{PARTS[golden.configuration][1]}_in"
    available = torch.from_numpy(data[f"{prefix}.av_action"][:, -1] > 0)
    return ImaginedStarts(
        observation=torch.from_numpy(data[f"{prefix}.observation"]).to(golden.set.dtype),
        filled=torch.from_numpy(data[f"{prefix}.filled"]),
        action=torch.zeros(available.shape[:2], dtype=torch.int64),
        first=torch.zeros(len(available), dtype=torch.bool),
        available=available,
    )


def imagined(golden: Golden) -> ImaginedRollout:
    """With the recorded draws, tokens one after another."""
    prefix, found = PARTS[golden.configuration][1], golden.set
    golden.marie.draws = RecordedDraws(
        latent=[
            step[..., place].flatten() for step in found.ids(f"{prefix}.token_ids") for place in range(step.shape[-1])
        ],
        action=list(found.ids(f"{prefix}.action_ids")),
        available=list(found.ids(f"{prefix}.avail_drawn") > 0),
    )
    return golden.marie.imagine_from(starts_of(golden))
