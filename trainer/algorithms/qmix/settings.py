"""Settings of QMIX and VDN; the defaults are what QMIX's authors publish (Rashid et al. 2018, and their PyMARL).

But for how the mixer reads the state, and how many updates an iteration has; the -paper presets have theirs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from heliograph.settings import Settings
from trainer.algorithms.model_free.settings import RecurrentSettings
from trainer.policy.settings import Share

BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]


class MixerSettings(Settings):
    """How the values of the agents become the team's."""

    kind: Literal["monotonic", "sum"] = "monotonic"
    """`monotonic` is QMIX: a network over the global state that grows with every agent's value; `sum` is VDN, which
    reads nothing else of what follows."""
    width: PositiveInt = 32
    """Of the one hidden layer that mixes."""
    hypernetwork: NonNegativeInt = 64
    """Hidden width of the networks that make the mixing weights of the state; 0: one linear layer, as the first
    version of the paper has it."""
    state: Literal["squashed", "plain"] = "squashed"
    """The state is read as sign(x) log(1 + |x|), or as it is, as published; SMAX's has numbers up to 32, which as
    factors of weights let values diverge."""


class ExplorationSettings(Settings):
    """The share of actions that are drawn uniformly from the legal ones, for every agent by itself."""

    begin: Share = 1.0
    end: BelowOne = 0.05
    """From `steps` on, and of the sampled policy, in evaluations and in bundles."""
    steps: PositiveInt = 50_000
    """Environment steps, over all copies, in which it falls from one to the other."""


class TdSettings(Settings):
    """What the team's value learns from."""

    discount: Share = 0.99
    trace: Share = 0.0
    """Lambda of TD(lambda); 0: the reward and the value of the next row, as published."""
    double: bool = True
    """The online network chooses the actions that the target network values."""
    reward_scale: PositiveFloat = 1.0
    """Factor on the team's reward, the mean over its agents."""
    target_every: PositiveInt = 200
    """Updates between two renewals of the target network."""
    target_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the online network's weights in a renewal: 1 copies them; little, at every update, follows softly."""


class QmixOptimiserSettings(Settings):
    kind: Literal["rmsprop", "adam"] = "rmsprop"
    learning_rate: PositiveFloat = 5e-4
    epsilon: PositiveFloat = 1e-5
    smoothing: BelowOne = 0.99
    """Of the squared gradients of RMSprop; Adam keeps its own."""
    gradient_clip: PositiveFloat = 10.0


class QmixSettings(RecurrentSettings):
    """Batches are `replay.batch` whole episodes; `replay.window` has a say in when updates begin, and no other."""

    updates: PositiveInt = 8
    """Per iteration, each on fresh episodes."""
    mixer: MixerSettings = MixerSettings()
    exploration: ExplorationSettings = ExplorationSettings()
    td: TdSettings = TdSettings()
    optimiser: QmixOptimiserSettings = QmixOptimiserSettings()
