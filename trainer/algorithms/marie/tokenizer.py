"""Observations as tokens: an autoencoder whose bottleneck is discrete (MARIE §3.1, A.1), shared by all agents.

Axis legend: D observation, K tokens of one observation, C classes of a token, d numbers in a code, V vectors (every
token of every observation is one); [...] any leading axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from trainer.algorithms.marie.codebook import Codebook
from trainer.algorithms.marie.discretiser import Discretiser
from trainer.algorithms.marie.fixed_codes import Bins, ScalarLevels
from trainer.algorithms.marie.tokenizer_settings import DISCRETISE_OTHERWISE, UNBOUNDED, TokenizerSettings
from trainer.nets.observation_scale import ObservationScale, on_scale, scale_of
from trainer.nets.observations import Image, ImageEncoder
from trainer.nets.perceptron import perceptron

LARGEST = 1.0
"""Clamped reconstructions lie within it on either side of zero."""


@dataclass(frozen=True, kw_only=True)
class TokenizerLoss:
    """One batch through the tokenizer, before anything is learned from it."""

    reconstruction: Tensor
    """[]."""
    commitment: Tensor
    """[], before its weight."""
    total: Tensor
    """[]: what encoder and decoder descend."""
    vectors: Tensor
    """[V, d], bounded, without gradients."""
    ids: Tensor
    """int64 [V]."""
    chosen: Tensor
    """int64 [C]: how often each code was chosen."""

    @property
    def codes(self) -> Tensor:
        """[]: how many different codes were chosen."""
        return (self.chosen > 0).sum()

    @property
    def perplexity(self) -> Tensor:
        """[]: of the choice; C if all were chosen alike."""
        share = self.chosen / self.chosen.sum()
        return torch.exp(-torch.xlogy(share, share).sum())


class Tokenizer(nn.Module):
    """Nothing of it is an agent's own, so one tokenizer serves all agents, and every bundle holds a copy."""

    def __init__(self, settings: TokenizerSettings, observation_size: int, *, image: Image | None = None) -> None:
        """`image`: of an observation that begins with one, as in `EnvironmentSpec.image`."""
        super().__init__()
        self.settings = settings
        discretiser = _discretiser(settings)
        self.encoder: nn.Module
        self.decoder: nn.Module
        if settings.discretisation == "bins":
            self.tokens = observation_size
            self.encoder, self.decoder = nn.Identity(), nn.Identity()
        else:
            self.tokens = settings.tokens
            self.encoder, self.decoder = _autoencoder(
                settings, observation_size, bottleneck=settings.tokens * discretiser.width, image=image
            )
        self.encoder = on_scale(self.encoder, settings.observations, size=observation_size, image=image)
        self.discretiser = discretiser  # last, so that codes that do not fit are told rather than their consequences

    @property
    def scale(self) -> ObservationScale | None:
        """Of observations, where the settings ask for one."""
        return scale_of(self.encoder)

    @property
    def vocabulary(self) -> int:
        """C."""
        return self.discretiser.classes

    @property
    def learns(self) -> bool:
        """Whether it has anything to learn; bins have not."""
        return any(True for _ in self.parameters())

    def encode(self, observation: Tensor) -> Tensor:
        """Observations [..., D] -> ids, int64 [..., K]."""
        return self.discretiser.nearest(self.vectors(observation))

    def decode(self, ids: Tensor, *, imagined: bool = False) -> Tensor:
        """Ids [..., K] -> reconstructions [..., D], on the scale of the settings.  `imagined`: of states that
        imagination starts from or makes, which the released code clamps where it clamps no others."""
        reconstruction: Tensor = self.decoder(self.discretiser.codes[ids].flatten(-2))
        clamps = self.settings.clamp == "everywhere" or (imagined and self.settings.clamp == "imagined")
        return reconstruction.clamp(-LARGEST, LARGEST) if clamps else reconstruction

    def on_scale(self, observation: Tensor) -> Tensor:
        """Observations [..., D] on the scale of the settings, as a perfect reconstruction is."""
        return observation if self.scale is None else self.scale.to_scale(observation)

    def observed(self, reconstruction: Tensor) -> Tensor:
        """The observations [..., D] that reconstructions on the scale of the settings are of."""
        return reconstruction if self.scale is None else self.scale.from_scale(reconstruction)

    def vectors(self, observation: Tensor) -> Tensor:
        """What is made discrete of observations [..., D], bounded, [..., K, d]."""
        encoded: Tensor = self.encoder(observation)
        return self.discretiser.bounded(encoded.unflatten(-1, (self.tokens, self.discretiser.width)))

    def loss(self, observation: Tensor) -> TokenizerLoss:
        """Of observations [..., D], of agents that are gone as well."""
        vectors = self.vectors(observation)
        ids = self.discretiser.nearest(vectors.detach())
        codes = self.discretiser.codes[ids]
        # Straight through: the decoder reads the codes, and what it wants of them reaches the encoder.
        reconstruction = self.decoder((vectors + (codes - vectors).detach()).flatten(-2))
        error = reconstruction - self.on_scale(observation)
        mean = error.abs().mean() if self.settings.reconstruction == "absolute" else error.square().mean()
        # Codes that nobody learns need no vectors to stay near them: what is decoded draws them well enough.
        commitment = (codes - vectors).square().mean()
        weight = self.settings.commitment if isinstance(self.discretiser, Codebook) else 0.0
        return TokenizerLoss(
            reconstruction=mean,
            commitment=commitment,
            total=mean + weight * commitment,
            vectors=vectors.detach().flatten(0, -2),
            ids=ids.flatten(),
            chosen=torch.bincount(ids.flatten(), minlength=self.vocabulary),
        )


def make_tokenizer(settings: TokenizerSettings, spec: EnvironmentSpec) -> Tokenizer:
    """The tokenizer of a world's observations.  Raises SettingsError where bins can only be a mistake."""
    if settings.discretisation == "bins" and spec.rows.size:
        raise SettingsError(UNBOUNDED, remedy=DISCRETISE_OTHERWISE)
    return Tokenizer(settings, spec.observation_size, image=spec.image)


def _autoencoder(
    settings: TokenizerSettings, observation_size: int, *, bottleneck: int, image: Image | None
) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder."""
    hidden = settings.hidden
    # The decoder runs in bundles, too, whose graphs know no transposed convolutions; so it never has any.
    decoder = perceptron([bottleneck, hidden, hidden, observation_size], nn.GELU)
    if image is None:
        return perceptron([observation_size, hidden, hidden, bottleneck], nn.GELU), decoder
    rest = observation_size - math.prod(image)
    return ImageEncoder(image, rest=rest, channels=settings.image_channels, out=bottleneck), decoder


def _discretiser(settings: TokenizerSettings) -> Discretiser:
    match settings.discretisation:
        case "vq":
            return Codebook(settings.codebook)
        case "fsq":
            return ScalarLevels(settings.levels)
        case "bins":
            return Bins(count=settings.bins.count, lowest=settings.bins.lowest, highest=settings.bins.highest)
