"""Our world model, actor and critic with the recorded weights of MARIE's released code (`marie_reference.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from marie_reference import Recorded
from torch import Tensor, nn

from trainer.algorithms.marie.actor_critic import ReconstructionCritic
from trainer.algorithms.marie.aggregation import Attention, GatedFeedForward
from trainer.algorithms.marie.model import MarieModel
from trainer.algorithms.marie.segments import Segments

BINS = {"lowest": -3.0, "highest": 3.0}


def model_settings(configuration: str, dims: dict[str, int]) -> dict[str, Any]:
    """Of `MarieModelSettings`, for the configuration `main` or `alt`."""
    main = configuration == "main"
    return {
        "context": dims["window"],
        "width": dims["width"],
        "layers": dims["layers"],
        "heads": dims["heads"],
        "dropout": 0.0,
        "perceiver": {
            "cross_heads": dims["cross_heads"],
            "cross_width": dims["cross_dim"],
            "inner_layers": dims["depth"],
            "inner_heads": dims["self_heads"],
            "inner_width": dims["self_dim"],
        },
        "reward": "smooth_l1" if main else "bins",
        "reward_bins": {"count": dims["bins"], **BINS},
        "available": "pairs" if main else "bernoulli",
        "available_hidden": 256 if main else dims["width"],
    }


def recorded_segments(recorded: Recorded) -> Segments:
    """The recorded batch of windows; what is available after its last step is not known."""
    done = recorded.tensor("wm.batch.done")[..., 0] > 0
    available = recorded.tensor("wm.batch.av_action") > 0
    acted = torch.ones_like(done[..., 0])
    followed = acted.clone()
    followed[:, -1] = False
    return Segments(
        observation=recorded.tensor("wm.batch.observation"),
        action=recorded.tensor("wm.batch.action").argmax(-1),
        acted=acted,
        reward=recorded.tensor("wm.batch.reward")[..., 0],
        done=done,
        cut=done.all(-1),
        next_available=available.roll(-1, dims=1),
        followed=followed,
    )


class Places:
    """For every recorded weight the parameter that holds it, and which of its rows."""

    def __init__(self) -> None:
        self.parameters: dict[str, tuple[nn.Parameter, slice]] = {}

    def whole(self, name: str, parameter: Any) -> None:
        self.parameters[name] = (parameter, slice(None))

    def affine(self, name: str, layer: Any, rows: slice = slice(None)) -> None:
        """A linear layer or a norm."""
        self.parameters[f"{name}.weight"] = (layer.weight, rows)
        self.parameters[f"{name}.bias"] = (layer.bias, rows)

    def sequence(self, name: str, layers: Any) -> None:
        for index, layer in enumerate(each for each in layers if isinstance(each, nn.Linear)):
            self.affine(f"{name}.{index}", layer)

    @torch.no_grad()
    def fill(self, weights: dict[str, np.ndarray]) -> None:
        for name, (parameter, rows) in self.parameters.items():
            parameter[rows].copy_(torch.from_numpy(weights[name]).reshape(parameter[rows].shape))

    def value(self, name: str) -> Tensor:
        parameter, rows = self.parameters[name]
        return parameter.detach()[rows]

    def gradient(self, name: str) -> Tensor:
        parameter, rows = self.parameters[name]
        assert parameter.grad is not None, name
        return parameter.grad[rows]


def fill_model(model: MarieModel, recorded: Recorded) -> Places:
    """Put the recorded weights into a world model; the agents' code equals ours but for the last bit of a sine."""
    places, perceiver, main = Places(), model.perceiver, model.settings.reward == "smooth_l1"
    assert perceiver is not None
    places.whole("obs_table", model.token_table.weight)
    places.whole("act_table", model.action_table.weight)
    places.whole("pos_table", model.transformer.positions)
    places.whole("perc.queries", perceiver.queries)
    places.affine("perc.cross.norm_q", perceiver.norm_queries)
    places.affine("perc.cross.norm_kv", perceiver.norm_context)
    _attention(places, "perc.cross", perceiver.cross)
    _feed_forward(places, "perc.cross_ff", perceiver.cross_feed_forward)
    for index, layer in enumerate(perceiver.inner):
        places.affine(f"perc.self{index}.norm", layer.norm)
        _attention(places, f"perc.self{index}", layer.attention)
        _feed_forward(places, f"perc.self{index}_ff", layer.feed_forward)
    width = model.settings.width
    for index, layer in enumerate(model.transformer.layers):
        name = f"layer{index}"
        places.affine(f"{name}.norm1", layer.norm_attention)
        for part, projection in enumerate(("query", "key", "value")):
            places.affine(f"{name}.{projection}", layer.projection_in, slice(part * width, (part + 1) * width))
        places.affine(f"{name}.proj", layer.projection_out)
        places.affine(f"{name}.norm2", layer.norm_feed_forward)
        places.affine(f"{name}.mlp_in", layer.feed_forward[0])
        places.affine(f"{name}.mlp_out", layer.feed_forward[2])
    places.affine("final_norm", model.transformer.norm)
    places.sequence("head_obs", model.next_token)
    places.sequence("head_reward" if main else "head_reward_bins", model.reward)
    places.sequence("head_continue", model.continuation)
    places.sequence("head_avail_pairs" if main else "head_avail", model.available)
    places.fill(recorded.weights)
    held = sum(parameter[rows].numel() for parameter, rows in places.parameters.values())
    assert held == sum(parameter.numel() for parameter in model.parameters())
    _take_code(perceiver.agent_code, recorded.weights["agent_code"])
    return places


def fill_critic(critic: ReconstructionCritic, name: str, recorded: Recorded) -> Places:
    """Put the weights of a recorded critic into ours."""
    places = Places()
    places.affine(f"{name}.embed", critic.embed)
    places.sequence(f"{name}.out", critic.out)
    (layer,) = critic.attention.layers
    inner = f"{name}.comm.layer0"
    places.affine(f"{inner}.attn.in_proj", layer.projection_in)
    places.affine(f"{inner}.attn.out_proj", layer.projection_out)
    places.sequence(f"{inner}.ffn", layer.feed_forward)
    places.affine(f"{inner}.norm1", layer.norm_attention)
    places.affine(f"{inner}.norm2", layer.norm_feed_forward)
    places.fill(recorded.weights)
    _take_code(critic.attention.positions, recorded.weights[f"{name}.comm.pos_table"][0])
    return places


def fill_actor(actor: Any, name: str, recorded: Recorded) -> Places:
    places = Places()
    places.sequence(name, actor)
    places.fill(recorded.weights)
    return places


def _take_code(ours: Tensor, table: np.ndarray) -> None:
    table = table[: len(ours)].reshape(ours.shape)
    np.testing.assert_allclose(ours.numpy(), table, atol=1e-6)
    ours.copy_(torch.from_numpy(table))


def _attention(places: Places, name: str, attention: Attention) -> None:
    places.affine(f"{name}.q", attention.query)
    places.affine(f"{name}.kv", attention.key_value)
    places.affine(f"{name}.out", attention.projection_out)


def _feed_forward(places: Places, name: str, layers: GatedFeedForward) -> None:
    places.affine(f"{name}.norm", layers.norm)
    places.affine(f"{name}.in", layers.layer_in)
    places.affine(f"{name}.out", layers.layer_out)
