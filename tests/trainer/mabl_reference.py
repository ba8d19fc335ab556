"""Reads the golden numbers of MABL's released code into our networks (see tests/golden/mabl/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from mamba_reference import Places, recorded_window, take_positions
from torch import Tensor, nn

from trainer.experience.columns import STATE
from trainer.experience.window import Window
from trainer.nets.level import Level
from trainer.nets.perceptron import prediction_head
from trainer.policy.actor_critic import AttentionCritic
from trainer.policy.distributions import ActionDistribution, Categorical
from trainer.world_model.bilevel import BilevelModel
from trainer.world_model.bilevel_settings import BilevelSettings

FOLDER = Path(__file__).parents[1] / "golden" / "mabl"


@dataclass(frozen=True)
class BilevelReference:
    """The golden set, arrays by name, and our networks holding its weights."""

    dtype: torch.dtype
    dims: dict[str, int]
    data: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]
    scalars: dict[str, float]
    gradient_norms: dict[str, float]
    model: BilevelModel
    actor: Level
    actor_perturbed: Level
    critic: AttentionCritic
    parameters: dict[str, list[tuple[Tensor, str]]]

    @property
    def tolerance(self) -> dict[str, float]:
        return {"rtol": 1e-9, "atol": 1e-9} if self.dtype is torch.float64 else {"rtol": 1e-5, "atol": 1e-5}

    def tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(self.dtype)

    def ids(self, name: str) -> Tensor:
        return torch.from_numpy(self.samples[name].astype(np.int64))

    def window(self) -> Window:
        state = self.tensor(self.data["batch.state"][:, :, 0])  # [T, B, 1, S] -> [T, B, S]
        return replace(recorded_window(self.data, self.dtype), columns={STATE: state})

    @property
    def actions(self) -> ActionDistribution:
        return self.model.actions


def load_bilevel_reference(dtype: torch.dtype) -> BilevelReference:
    arrays = {part: dict(np.load(FOLDER / f"dev_{part}.npz")) for part in ("data", "samples", "weights", "out64")}
    meta = json.loads((FOLDER / "dev_meta.json").read_text())
    dims = meta["dims"]
    sizes = BilevelSettings(
        hidden=dims["hidden"],
        recurrent=dims["gru_agent"],
        categoricals=dims["categoricals"],
        classes=dims["classes"],
    )
    model = BilevelModel(
        sizes,
        agents=dims["agents"],
        observation_size=dims["obs"],
        state_size=dims["state"],
        actions=Categorical(dims["actions"]),
        action_masks=True,
    ).to(dtype)
    actor, perturbed = (
        model.of_level(prediction_head(sizes, out=dims["actions"], activation=nn.ReLU)).to(dtype) for _ in range(2)
    )
    critic = AttentionCritic(sizes.feature, agents=dims["agents"], heads=dims["heads"]).to(dtype)
    places = BilevelPlaces(model, critic)
    places.head("actor", actor.network)
    places.head("actor_perturbed", perturbed.network)
    orders = column_orders(dims)
    weights = {name: value[:, orders[name]] if name in orders else value for name, value in arrays["weights"].items()}
    places.fill(weights)
    take_positions(critic.attention, weights["critic.comm.pos_table"])
    return BilevelReference(
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


def column_orders(dims: dict[str, int]) -> dict[str, np.ndarray]:
    """For recorded matrices over something else than [latent, dense], where those columns are."""
    latent, recurrent, actions = dims["stoch"], dims["gru_agent"], dims["actions"]

    def order(*widths: int, latents: tuple[int, ...]) -> np.ndarray:
        parts = np.split(np.arange(sum(widths)), np.cumsum(widths)[:-1])
        dense = [part for index, part in enumerate(parts) if index not in latents]
        return np.concatenate([*(parts[index] for index in latents), *dense])

    both = order(latent, recurrent, latent, recurrent, latents=(0, 2))
    return {
        "agent_input.weight": order(actions, latent, latents=(1,)),
        "global_input.weight": order(dims["agents"] * actions, latent, latents=(1,)),
        "agent_prior_head.0.weight": order(recurrent, latent, latents=(1,)),
        "global_posterior_head.0.weight": order(recurrent, dims["state_embed"], latent, latents=(2,)),
        "continue_head.0.weight": both,
        "avail_head.0.weight": both,
        "critic.embed.weight": both,
    }


class BilevelPlaces(Places):
    """Where the recorded weights of both levels, the heads and the critic belong."""

    def __init__(self, model: BilevelModel, critic: AttentionCritic) -> None:
        self.parameters = {}
        above = model.above
        assert above is not None
        self.sequence("obs_encoder", model.encoder)
        self.sequence("state_encoder", above.encoder)
        for level, rssm in (("agent", model.rssm), ("global", above.rssm)):
            self.latent_linear(f"{level}_input", rssm.token)
            for gate in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                self.parameters[f"{level}_gru.{gate}"] = [(getattr(rssm.cell, gate), "")]
            self.sequence(f"{level}_prior_head", rssm.prior_head)
            self.sequence(f"{level}_posterior_head", rssm.posterior_head)
        for name, table, layer in (
            ("agent_prior_head", above.downward, model.rssm.prior_head[0]),
            ("global_posterior_head", above.upward, above.rssm.posterior_head[0]),
        ):
            self.parameters[f"{name}.0.weight"] = [(table.table, "latent"), (layer.weight, "dense")]
        self.head("obs_decoder", model.decoder.network.hidden)
        self.sequence("obs_decoder", model.decoder.network.out, start=3)
        self.head("reward_head", model.reward.network)
        self.head("continue_head", model.continuation)
        self.head("avail_head", model.available)
        self.sequence("info_head", model.information)
        self.latent_linear("critic.embed", critic.embed)
        self.communication("critic.comm", critic.attention)
        self.sequence("critic.out", critic.out)
