"""Settings of the tokenizer: how an observation becomes K tokens and is made again of them (MARIE §3.1, A.1)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from heliograph.settings import Settings


class CodebookSettings(Settings):
    """Of `discretisation = vq`: codes that follow the encoder by moving averages (van den Oord et al. 2017)."""

    size: PositiveInt = 512
    """Codes, which every token chooses from."""
    width: PositiveInt = 128
    """Numbers in a code."""
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.95
    """Of the moving averages that a code is the quotient of, per update; published: 0.8."""
    smoothing: PositiveFloat = 1e-5
    """Added to every moving count (Laplace)."""
    initialisation: Literal["kmeans", "data", "weights"] = "kmeans"
    """Codes begin at the means that k-means finds among what the encoder makes of the first batch, at some of those
    vectors, or, as published, at random weights with counts of zero, so that what is not chosen at once explodes."""
    kmeans_iterations: PositiveInt = 10
    revival: Literal["idle", "none"] = "idle"
    """A code that has long been idle begins again at a vector of the batch, one far from its code rather than one close
    to it; or, as published, never."""
    idle_updates: PositiveInt = 20
    """A code is idle after so many updates in a row in which no vector chose it."""


class BinsSettings(Settings):
    """Of `discretisation = bins`: each dimension of an observation is a token (MARIE §4.3)."""

    count: PositiveInt = 512
    """Bins of equal width; as many as the codebook has codes in the paper's comparison."""
    lowest: float = -1.0
    highest: float = 1.0
    """The range that bins cover; an observation outside of it ends a training."""

    @model_validator(mode="after")
    def _in_order(self) -> BinsSettings:
        if not self.lowest < self.highest:
            raise ValueError(f"bins.lowest = {self.lowest} is not below bins.highest = {self.highest}")
        return self


UNBOUNDED = "tokenizer.discretisation = bins does not go with continuous actions, whose worlds put no bounds on what \
is observed"
"""Why bins can only be a mistake there; with continuous actions, observations are speeds and forces."""
DISCRETISE_OTHERWISE = "Choose vq or fsq"


class TokenizerSettings(Settings):
    """Published values are the defaults, but for the codebook, which stays alive."""

    discretisation: Literal["vq", "bins", "fsq"] = "vq"
    """A learned codebook; fixed-width bins of each dimension, the paper's ablation; or finite scalar quantisation."""
    tokens: PositiveInt = 16
    """K, of one observation; bins take one for each of its dimensions."""
    hidden: PositiveInt = 256
    """Width of encoder and decoder; the paper's table says 512."""
    image_channels: PositiveInt = 16
    """Channels of the first convolution over an observed image; the next layers have two and four times as many."""
    codebook: CodebookSettings = CodebookSettings()
    levels: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (8, 8, 8)
    """Of `discretisation = fsq`: values of each number of a token, so that 8 x 8 x 8 are 512 tokens to choose from."""
    bins: BinsSettings = BinsSettings()
    observations: Literal["raw", "standardised"] = "raw"
    """Tokens are made of observations as they are, as published; or of each number less its running mean, in units of
    its running deviation, on which scale the policy reads reconstructions, too, so that what hardly differs counts as
    much as what differs a lot.  Observations with an image stay as they are."""
    reconstruction: Literal["squared", "absolute"] = "squared"
    """The error that encoder and decoder learn from: the mean square, as in the paper, or the released code's |o - o'|,
    which gives up numbers that are mostly zero."""
    commitment: NonNegativeFloat = 10.0
    """Weight of what draws the encoder's vectors to the codes of a codebook; nothing else has such a term."""
    clamp: Literal["nowhere", "everywhere", "imagined"] = "nowhere"
    """Where reconstructions are held to [-1, 1]; imagined ones alone as published, which the policy then finds unlike
    those of its history and of execution."""
    learning_rate: PositiveFloat = 3e-4
    weight_decay: NonNegativeFloat = 0.01
    """AdamW's, on all weights and biases."""
    gradient_clip: PositiveFloat = 10.0
    updates: PositiveInt = 200
    """Per training iteration."""
    batch: PositiveInt = 256
    """Rows of replay, each with all agents, per update."""

    @model_validator(mode="after")
    def _on_one_scale(self) -> Self:
        if self.observations == "standardised" and self.discretisation == "bins":
            raise ValueError(
                "tokenizer.observations = standardised does not go with tokenizer.discretisation = bins, whose range "
                "is of observations as they are: choose raw, or vq or fsq"
            )
        if self.observations == "standardised" and self.clamp != "nowhere":
            raise ValueError(
                f"tokenizer.clamp = {self.clamp} holds reconstructions to [-1, 1], which means nothing on the scale of "
                "tokenizer.observations = standardised: choose nowhere, or raw"
            )
        return self
