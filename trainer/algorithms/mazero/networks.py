"""The six functions of MAZero's model as modules (MAZero, equation 4 and appendix B.1).

Axis legend: R rows (roots, nodes, or steps of windows), N agents, X what an agent sees, H width of a hidden state,
A actions, C bins of a support.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.algorithms.mazero.settings import MazeroModelSettings
from trainer.nets.agentwise import per_agent
from trainer.nets.communication import CommunicationBlock
from trainer.nets.observations import Image, ImageEncoder


def normed_layers(sizes: Sequence[int]) -> nn.Sequential:
    """Layers sizes[0] -> ... -> sizes[-1], each a linear one, then ReLU, then layer norm; the last one, too."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(sizes):
        layers += [_orthogonal(nn.Linear(width_in, width_out)), nn.ReLU(inplace=True), nn.LayerNorm(width_out)]
    return nn.Sequential(*layers)


def head(sizes: Sequence[int], *, zero: bool) -> nn.Sequential:
    """Normed layers, and a plain linear one at the end, which gives zeros at first if `zero`."""
    last = _orthogonal(nn.Linear(sizes[-2], sizes[-1]))
    if zero:
        nn.init.zeros_(last.weight)
    return nn.Sequential(*normed_layers(sizes[:-1]), last)


class Representation(nn.Module):
    """What an agent sees -> its hidden state."""

    def __init__(self, settings: MazeroModelSettings, *, seen: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(seen) if settings.input_norm else nn.Identity()
        self.layers = normed_layers([seen, *settings.representation_layers, settings.hidden])

    def forward(self, seen: Tensor) -> Tensor:
        """[..., X] -> [..., H]."""
        hidden: Tensor = self.layers(self.norm(seen))
        return hidden


class ImageRepresentation(nn.Module):
    """The same where an observation begins with an image: convolutions over each frame, layers over all of them."""

    def __init__(self, settings: MazeroModelSettings, image: Image, *, frame: int, seen: int) -> None:
        super().__init__()
        self.frames, self.frame = settings.frames, frame
        widths = [*settings.representation_layers, settings.hidden]
        rest = frame - math.prod(image)
        self.encoder = ImageEncoder(image, rest=rest, channels=settings.image_channels, out=widths[0])
        self.layers = normed_layers([settings.frames * widths[0] + seen - settings.frames * frame, *widths])

    def forward(self, seen: Tensor) -> Tensor:
        """[..., X] -> [..., H]."""
        pixels = seen[..., : self.frames * self.frame].unflatten(-1, (self.frames, self.frame))
        rows = torch.relu(self.encoder(pixels)).flatten(-2)
        hidden: Tensor = self.layers(torch.cat([rows, seen[..., self.frames * self.frame :]], dim=-1))
        return hidden


class Communication(nn.Module):
    """What attention over the team's states and actions tells each agent."""

    def __init__(self, settings: MazeroModelSettings, *, agents: int, actions: int) -> None:
        super().__init__()
        self.token = _orthogonal(nn.Linear(settings.hidden + actions, settings.hidden))
        self.block = CommunicationBlock(
            agents=agents,
            width=settings.hidden,
            layers=settings.communication_layers,
            heads=settings.heads,
            dropout=settings.dropout,
        )

    def forward(self, states: Tensor) -> Tensor:
        """States and actions side by side, [R, N, H + A] -> [R, N, H]."""
        return self.block.complete(torch.relu(self.token(states)))


class CommunicatingDynamics(nn.Module):
    """Each agent's next state from its own, its action and what communication tells it."""

    def __init__(self, settings: MazeroModelSettings, *, agents: int, actions: int) -> None:
        super().__init__()
        width = settings.hidden
        self.communication = Communication(settings, agents=agents, actions=actions)
        self.layers = per_agent(
            lambda: normed_layers([2 * width + actions, *settings.dynamics_layers, width]),
            agents=agents,
            shared=settings.shared,
        )

    def forward(self, hidden: Tensor, action: Tensor) -> Tensor:
        """Hidden states [R, N, H] and one-hot actions [R, N, A] -> [R, N, H]."""
        states = torch.cat([hidden, action], dim=-1)
        change: Tensor = self.layers(torch.cat([states, self.communication(states)], dim=-1))
        return hidden + change


class SeparateDynamics(nn.Module):
    """Each agent's next state from its own and its action."""

    def __init__(self, settings: MazeroModelSettings, *, agents: int, actions: int) -> None:
        super().__init__()
        self.layers = per_agent(
            lambda: normed_layers([settings.hidden + actions, *settings.dynamics_layers, settings.hidden]),
            agents=agents,
            shared=settings.shared,
        )

    def forward(self, hidden: Tensor, action: Tensor) -> Tensor:
        """As CommunicatingDynamics."""
        change: Tensor = self.layers(torch.cat([hidden, action], dim=-1))
        return hidden + change


class FlatDynamics(nn.Module):
    """The joint next state from the joint state and the joint action, as a model for a single agent has it."""

    def __init__(self, settings: MazeroModelSettings, *, agents: int, actions: int) -> None:
        super().__init__()
        width = agents * settings.hidden
        self.layers = normed_layers([width + agents * actions, *settings.dynamics_layers, width])

    def forward(self, hidden: Tensor, action: Tensor) -> Tensor:
        """As CommunicatingDynamics."""
        change: Tensor = self.layers(torch.cat([hidden.flatten(-2), action.flatten(-2)], dim=-1))
        return hidden + change.reshape(hidden.shape)


DYNAMICS = {"communicating": CommunicatingDynamics, "separate": SeparateDynamics, "flat": FlatDynamics}
"""By `structure`."""


class Consistency(nn.Module):
    """Compares an unrolled state with that of the observation that came (as EfficientZero does)."""

    def __init__(self, settings: MazeroModelSettings, *, agents: int) -> None:
        super().__init__()
        width = settings.projection
        self.projection = nn.Sequential(
            *normed_layers([agents * settings.hidden, settings.projection_hidden, width]), nn.LayerNorm(width)
        )
        self.predictor = normed_layers([width, settings.predictor_hidden, width])

    def forward(self, unrolled: Tensor, observed: Tensor) -> Tensor:
        """Minus the cosine of the projections, -1..1, [R], of joint states [R, N, H]; `observed` gets no gradient."""
        predicted = self.predictor(self.projection(unrolled.flatten(-2)))
        with torch.no_grad():
            target = self.projection(observed.flatten(-2))
        cosine = functional.normalize(predicted, dim=-1, eps=1e-5) * functional.normalize(target, dim=-1, eps=1e-5)
        return -cosine.sum(-1)


def _orthogonal(layer: nn.Linear) -> nn.Linear:
    nn.init.orthogonal_(layer.weight, gain=math.sqrt(2))
    nn.init.zeros_(layer.bias)
    return layer
