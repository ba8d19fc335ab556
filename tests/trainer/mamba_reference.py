"""Reads the golden numbers of MAMBA's released code into our networks (see tests/golden/mamba/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.experience.window import Window
from trainer.nets.communication import CommunicationBlock, EncoderLayer
from trainer.nets.latent import LatentLinear
from trainer.nets.perceptron import FeatureHead
from trainer.policy.actor_critic import AttentionCritic, make_actor
from trainer.policy.distributions import ActionDistribution, Categorical
from trainer.world_model.model import WorldModel
from trainer.world_model.settings import WorldModelSettings

FOLDER = Path(__file__).parents[1] / "golden" / "mamba"


class RecordedDraws:
    """Replays recorded samples in call order."""

    def __init__(self, *, latent: list[Tensor], action: list[Tensor], available: list[Tensor]) -> None:
        self._latent, self._action, self._available = iter(latent), iter(action), iter(available)

    def latent(self, probabilities: Tensor) -> Tensor:
        return next(self._latent)

    def action(self, outputs: Tensor, actions: ActionDistribution) -> Tensor:
        return next(self._action)

    def available(self, probabilities: Tensor) -> Tensor:
        return next(self._available)


@dataclass(frozen=True)
class Reference:
    """One golden set, arrays by name, and our networks holding its weights."""

    name: str
    dtype: torch.dtype
    dims: dict[str, int]
    data: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    scalars: dict[str, float]
    gradient_norms: dict[str, float]
    model: WorldModel
    actor: FeatureHead
    actor_perturbed: FeatureHead
    critic: AttentionCritic
    parameters: dict[str, list[tuple[Tensor, str]]]
    """For every recorded weight the parameters that hold it, each with the part it is: "", "latent" or "dense"."""

    @property
    def tolerance(self) -> dict[str, float]:
        return {"rtol": 1e-9, "atol": 1e-9} if self.dtype is torch.float64 else {"rtol": 1e-5, "atol": 1e-5}

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(self.dtype)

    def ids(self, name: str) -> Tensor:
        return torch.from_numpy(self.samples[name].astype(np.int64))

    def window(self) -> Window:
        return recorded_window(self.data, self.dtype)

    @property
    def actions(self) -> ActionDistribution:
        return self.model.actions


def recorded_window(data: dict[str, np.ndarray], dtype: torch.dtype) -> Window:
    """The recorded batch as one of ours."""
    last = torch.from_numpy(data["batch.last"][..., 0, 0] > 0)  # of the row before
    first = torch.cat([torch.zeros_like(last[:1]), last[:-1]])
    observation = torch.from_numpy(data["batch.observation"]).to(dtype)
    mask = data.get("batch.avail", np.ones_like(data["batch.action"]))
    return Window(
        observation=observation,
        action_mask=torch.from_numpy(mask > 0),
        hears=None,
        present=torch.from_numpy(data["batch.fake"][..., 0] == 0),
        first=first,
        action=torch.from_numpy(data["batch.action"].argmax(-1)),
        reward=torch.from_numpy(data["batch.reward"][..., 0]).to(dtype),
        terminated=torch.from_numpy(data["batch.done"][..., 0] > 0),
    )


def load_reference(name: str, dtype: torch.dtype) -> Reference:
    arrays = {part: dict(np.load(FOLDER / f"{name}_{part}.npz")) for part in ("data", "samples", "weights", "out64")}
    meta = json.loads((FOLDER / f"{name}_meta.json").read_text())
    dims = meta["dims"]
    settings = WorldModelSettings(
        hidden=dims["hidden"],
        recurrent=dims["gru"],
        categoricals=dims["categoricals"],
        classes=dims["classes"],
        heads=dims["heads"],
        communication_layers=dims["comm_layers"],
        dropout=0.0,
    )
    agents, actions = dims["agents"], dims["actions"]
    model = WorldModel(
        settings,
        agents=agents,
        observation_size=dims["obs"],
        actions=Categorical(actions),
        action_masks=meta["has_avail"],
    ).to(dtype)
    actor, perturbed = (make_actor(settings, outputs=actions).to(dtype) for _ in range(2))
    critic = AttentionCritic(settings, agents=agents, heads=dims["heads"]).to(dtype)
    places = Places(model, actor)
    places.head("actor_perturbed", perturbed)
    places.latent_linear("critic.embed", critic.embed)
    places.communication("critic.comm", critic.attention)
    places.sequence("critic.out", critic.out)
    places.fill(arrays["weights"])
    for place, block in (("comm", model.rssm.communication), ("critic.comm", critic.attention)):
        take_positions(block, arrays["weights"][f"{place}.pos_table"])
    return Reference(
        name=name,
        dtype=dtype,
        dims=dims,
        data=arrays["data"],
        samples=arrays["samples"],
        outputs=arrays["out64"],
        scalars=meta["scalars_float64"],
        gradient_norms=meta["grad_norm_per_weight_float64"],
        model=model,
        actor=actor,
        actor_perturbed=perturbed,
        critic=critic,
        parameters=places.parameters,
    )


def recorded_gradient(places: list[tuple[Tensor, str]], *, token: bool = False) -> Tensor:
    """Our gradient of the recorded weight that has these places, put together in the layout of the recording."""
    if len(places) == 1:
        return places[0][0].grad
    parts = {part: parameter.grad.t() if part == "latent" else parameter.grad for parameter, part in places}
    order = ("dense", "latent") if token else ("latent", "dense")
    return torch.cat([parts[part] for part in order], dim=1)


def _part(value: Tensor, part: str, parameter: Tensor, *, token: bool) -> Tensor:
    """The recorded matrices over features are (out, latent + dense); that of the tokens is (out, dense + latent)."""
    if part == "latent":
        width = parameter.shape[0]
        return (value[:, -width:] if token else value[:, :width]).t()
    if part == "dense":
        width = parameter.shape[1]
        return value[:, :width] if token else value[:, -width:]
    return value


def take_positions(block: CommunicationBlock, recorded: np.ndarray) -> None:
    """Check the positional code against the recorded one, and take that over."""
    recorded = recorded[0, : len(block.positions)]
    np.testing.assert_allclose(block.positions.numpy(), recorded, atol=1e-6)
    # The last bit of a float32 sine differs between machines, and shows at 1e-9.
    block.positions.copy_(torch.from_numpy(recorded))


class Places:
    """Where the recorded weights of the networks of a team belong."""

    def __init__(self, model: WorldModel, actor: FeatureHead) -> None:
        self.parameters: dict[str, list[tuple[Tensor, str]]] = {}
        """For every recorded weight the parameters that hold it, each with the part it is: "", "latent" or "dense"."""
        rssm = model.rssm
        self.sequence("obs_encoder", model.encoder)
        self.latent_linear("transition_input", rssm.token)
        self.communication("comm", rssm.communication)
        for gate in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            self.parameters[f"gru.{gate}"] = [(getattr(rssm.cell, gate), "")]
        self.sequence("prior_head", rssm.prior_head)
        self.sequence("posterior_head", rssm.posterior_head)
        self.head("obs_decoder", model.decoder.hidden)
        self.sequence("obs_decoder", model.decoder.out, start=3)
        self.head("reward_head", model.reward)
        self.head("continue_head", model.continuation)
        if model.available is not None:
            self.head("avail_head", model.available)
        self.sequence("info_head", model.information)
        self.head("actor", actor)

    def linear(self, name: str, layer: torch.nn.Linear) -> None:
        self.parameters[f"{name}.weight"] = [(layer.weight, "")]
        self.parameters[f"{name}.bias"] = [(layer.bias, "")]

    def latent_linear(self, name: str, layer: LatentLinear) -> None:
        self.parameters[f"{name}.weight"] = [(layer.table, "latent"), (layer.dense.weight, "dense")]
        self.parameters[f"{name}.bias"] = [(layer.dense.bias, "")]

    def sequence(self, name: str, layers: torch.nn.Module, start: int = 0) -> None:
        found = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
        for index, layer in enumerate(found):
            self.linear(f"{name}.{index + start}", layer)

    def head(self, name: str, module: FeatureHead) -> None:
        self.latent_linear(f"{name}.0", module.first)
        self.sequence(name, module.rest, start=1)

    def communication(self, name: str, block: CommunicationBlock) -> None:
        for index, layer in enumerate(block.layers):
            assert isinstance(layer, EncoderLayer)
            prefix = f"{name}.layer{index}"
            self.linear(f"{prefix}.attn.in_proj", layer.projection_in)
            self.linear(f"{prefix}.attn.out_proj", layer.projection_out)
            self.sequence(f"{prefix}.ffn", layer.feed_forward)
            self.linear(f"{prefix}.norm1", layer.norm_attention)
            self.linear(f"{prefix}.norm2", layer.norm_feed_forward)

    @torch.no_grad()
    def fill(self, weights: dict[str, np.ndarray]) -> None:
        """Copy recorded weights into the networks; all of them have a place, and all places a weight."""
        assert set(self.parameters) == {key for key in weights if not key.endswith("pos_table")}
        for weight, places in self.parameters.items():
            value = torch.from_numpy(weights[weight])
            for parameter, part in places:
                parameter.copy_(_part(value, part, parameter, token=weight.startswith("transition_input")))


def noise_for(chosen: torch.Tensor, logits: np.ndarray) -> torch.Tensor:
    """Uniform numbers in the middle of the chosen classes' share of the unit interval, for [...] and [..., C]."""
    probabilities = torch.softmax(torch.from_numpy(logits).double(), dim=-1)
    share = probabilities.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
    return probabilities.cumsum(-1).gather(-1, chosen.unsqueeze(-1)).squeeze(-1) - share / 2
