"""Networks that read observations and make them again: perceptrons, or convolutions where the spec says image.

Axis legend: D observation, which begins with an image of H x W x C (height, width, channels) where there is one; X
other numbers that are read beside it, F output; [...] any leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from trainer.nets.perceptron import perceptron

Image = tuple[int, int, int]
"""Height, width and channels, as in `EnvironmentSpec.image`."""
_LAYERS = 3
"""Each halves both sides, rounded up, and has twice as many channels as the one before."""


def observation_encoder(
    size: int, widths: Sequence[int], *, image: Image | None = None, channels: int = 16, extra: int = 0
) -> nn.Module:
    """[..., D + X] -> [..., widths[-1]], without an activation after the last layer.

    A vector goes through a perceptron with layers of all `widths`; convolutions do the work of all but its last one.
    """
    if image is None:
        return perceptron([size + extra, *widths], nn.ReLU)
    return ImageEncoder(image, rest=size - math.prod(image) + extra, channels=channels, out=widths[-1])


def observation_decoder(hidden: int, size: int, *, image: Image | None = None, channels: int = 16) -> nn.Module:
    """[..., hidden] -> reconstruction [..., D]."""
    if image is None:
        return perceptron([hidden, size], nn.ReLU)
    return ImageDecoder(image, hidden=hidden, rest=size - math.prod(image), channels=channels)


def team_encoder(
    size: int, widths: Sequence[int], *, agents: int, image: Image | None = None, channels: int = 16
) -> nn.Module:
    """What all agents observe, in one row [..., N * D] -> [..., widths[-1]]."""
    if image is None:
        return perceptron([agents * size, *widths], nn.ReLU)
    each = observation_encoder(size, [widths[0]], image=image, channels=channels)
    return nn.Sequential(
        nn.Unflatten(-1, (agents, size)),
        each,
        nn.ReLU(),
        nn.Flatten(-2),
        perceptron([agents * widths[0], widths[-1]], nn.ReLU),
    )


class ImageEncoder(nn.Module):
    """Convolutions over the image that a row begins with, then one layer over them and the rest of the row."""

    def __init__(self, image: Image, *, rest: int, channels: int, out: int) -> None:
        super().__init__()
        self.image = image
        sides, widths = _sides(image), _channels(image, channels)
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [_initialised(nn.Conv2d(width_in, width_out, 3, stride=2, padding=1)), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        self.out = perceptron([widths[-1] * math.prod(sides[-1]) + rest, out], nn.ReLU)

    def forward(self, row: Tensor) -> Tensor:
        """[..., H * W * C + X] -> [..., F]."""
        numbers = math.prod(self.image)
        pixels = row[..., :numbers].reshape(-1, *self.image).permute(0, 3, 1, 2)
        features = self.convolutions(pixels).flatten(1).reshape(*row.shape[:-1], -1)
        outputs: Tensor = self.out(torch.cat([features, row[..., numbers:]], dim=-1))
        return outputs


class ImageDecoder(nn.Module):
    """The encoder backwards: one layer, then transposed convolutions up to the image; the rest by its own layer."""

    def __init__(self, image: Image, *, hidden: int, rest: int, channels: int) -> None:
        super().__init__()
        sides, widths = _sides(image)[::-1], _channels(image, channels)[::-1]
        self._begin = (widths[0], *sides[0])
        self.first = perceptron([hidden, math.prod(self._begin)], nn.ReLU)
        layers: list[nn.Module] = []
        for (width_in, width_out), (before, after) in zip(pairwise(widths), pairwise(sides), strict=True):
            # Halving rounds up, so that a side of 2n - 1 and one of 2n both came down to n.
            missing = (after[0] - (2 * before[0] - 1), after[1] - (2 * before[1] - 1))
            layers += [
                nn.ReLU(),
                _initialised(nn.ConvTranspose2d(width_in, width_out, 3, stride=2, padding=1, output_padding=missing)),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.rest = perceptron([hidden, rest], nn.ReLU) if rest else None

    def forward(self, feature: Tensor) -> Tensor:
        """[..., hidden] -> [..., D]."""
        begin = self.first(feature).reshape(-1, *self._begin)
        pixels = self.convolutions(begin).permute(0, 2, 3, 1).flatten(1).reshape(*feature.shape[:-1], -1)
        return pixels if self.rest is None else torch.cat([pixels, self.rest(feature)], dim=-1)


def _sides(image: Image) -> list[tuple[int, int]]:
    """Height and width before the first layer and after each."""
    sides = [image[:2]]
    for _ in range(_LAYERS):
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    return sides


def _channels(image: Image, channels: int) -> list[int]:
    return [image[2], *(channels * 2**layer for layer in range(_LAYERS))]


def _initialised(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    nn.init.xavier_uniform_(layer.weight)
    return layer
