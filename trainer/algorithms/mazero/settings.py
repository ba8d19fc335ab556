"""Settings of MAZero (Liu et al. 2024).  Where its paper, its script and the sound choice differ, all are here.

Published values are those of the paper's Table 1 or of the released script for SMAC; `docs/reference/presets.md` has
which preset takes which.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from heliograph.settings import Settings
from trainer.policy.settings import Share
from trainer.search.settings import SearchSettings

Widths = tuple[PositiveInt, ...]
"""Of hidden layers."""


class SupportSettings(Settings):
    """The integers, in squashed space, over which a value or a reward is a categorical distribution."""

    low: int = -5
    high: int = 5
    """-5..5 are eleven bins that reach returns of 34.6 either way; the paper speaks of ten."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"a support from {self.low} to {self.high} has no two bins; low must be below high")
        return self


class MazeroModelSettings(Settings):
    """Sizes and structure of the networks (MAZero, appendix B.1)."""

    structure: Literal["communicating", "separate", "flat"] = "communicating"
    """How a team's next state comes about: each agent's own from what attention over the team tells it; each agent's
    from its own state and action alone; or all at once by one network over the joint state (the flattened model of the
    paper's ablation)."""
    shared: bool = True
    """One set of parameters for the agents' representation, dynamics and policy, or one for each agent."""
    frames: PositiveInt = 1
    """Observations that an agent sees at once, the newest and those before it; the paper says 4, the script takes 1."""
    agent_identity: bool = False
    """Agents also read which of the team they are."""
    last_action: bool = False
    """Agents also read what they did before each of the frames."""
    observations: Literal["raw", "standardised"] = "raw"
    """What an agent sees, as it is, as published; or each number less its running mean, in units of its running
    deviation, which are learned with every update.  Where it sees images it stays as it is."""
    input_norm: bool = True
    """Layer norm over what an agent sees, where that is no image."""
    image_channels: PositiveInt = 16
    """Channels of the first convolution over an observed image; the next layers have two and four times as many."""
    hidden: PositiveInt = 128
    """Width of an agent's hidden state."""
    representation_layers: Widths = (128, 128)
    dynamics_layers: Widths = (128, 128)
    reward_layers: Widths = (32,)
    value_layers: Widths = (32,)
    policy_layers: Widths = (32,)
    communication_layers: PositiveInt = 3
    """Encoder layers of the communication block."""
    heads: PositiveInt = 8
    """Attention heads; must divide `hidden`."""
    dropout: Share = 0.1
    """In the communication block, during updates only."""
    projection_hidden: PositiveInt = 128
    projection: PositiveInt = 128
    """Width of what the consistency loss compares."""
    predictor_hidden: PositiveInt = 64
    zero_heads: bool = True
    """Reward, value and policy begin with zero outputs."""
    value_support: SupportSettings = SupportSettings()
    reward_support: SupportSettings = SupportSettings()

    @model_validator(mode="after")
    def _can_be_split(self) -> Self:
        if self.structure == "communicating" and self.hidden % self.heads:
            raise ValueError(f"hidden is {self.hidden}, which {self.heads} heads do not divide")
        return self


class TargetSettings(Settings):
    """What the model is taught (MAZero, section 4.4 and appendix B)."""

    steps: PositiveInt = 5
    """Rewards that a value target adds up before it takes the delayed network's value; discounted as in the search."""
    stale_after: PositiveFloat = 30_000.0
    """Steps of age after each of which a window's targets add up one reward fewer; released: 0.3 of all updates."""
    reanalyse: Share = 1.0
    """Share of the windows whose policy targets are searched anew, with the delayed network; the others learn what was
    found when they were played."""
    advantage_normalisation: bool = True
    """Over the batch, as released; the paper does not say so."""
    reward_scale: PositiveFloat = 1.0
    """Rewards are multiplied by it before anything is learned of them; the supports must hold what comes of it."""
    team_reward: Literal["mean", "sum"] = "mean"
    """The team's reward from those of its agents; the mean is over those that took part in the step."""


class MazeroLossSettings(Settings):
    """Weights and conventions of the loss."""

    policy: Literal["awpo", "bc", "raw"] = "awpo"
    """Advantage-weighted policy optimisation; behaviour cloning of the visit counts; or the advantage's weight on how
    often the prior drew an action, without the visit counts."""
    alpha: PositiveFloat = 3.0
    """Temperature of the advantages; the paper says 3, the script takes 2."""
    weight_clip: PositiveFloat | None = None
    """Largest factor that an advantage gives; not in the paper, 3 in the script."""
    reward_scale: NonNegativeFloat = 1.0
    policy_scale: NonNegativeFloat = 1.0
    value_scale: NonNegativeFloat = 0.25
    consistency_scale: NonNegativeFloat = 2.0
    two_hot: Literal["sound", "published"] = "sound"
    """published: a target on an integer of the support, such as 0, and one beyond it teaches nothing."""
    beyond_end: Literal["absorbing", "masked"] = "absorbing"
    """After the end of an episode rewards and values are taught to be 0, or nothing is taught."""
    consistency_beyond_end: bool = False
    """Compare states after the end with the last observation, too; published: true."""


class MazeroOptimiserSettings(Settings):
    kind: Literal["adam", "sgd"] = "adam"
    """sgd, which most agents of MuZero's kind use, is the paper's ablation; it wants a larger learning rate."""
    learning_rate: PositiveFloat = 5e-4
    """The paper says 1e-4, the script takes 5e-4."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What the learning rate is multiplied by every `decay_updates`, smoothly; published: 1."""
    decay_updates: PositiveInt = 100_000
    epsilon: PositiveFloat = 1e-5
    """Adam's."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """sgd's."""
    gradient_clip: PositiveFloat = 5.0


class PrioritySettings(Settings):
    """How windows are drawn from replay."""

    exponent: NonNegativeFloat = 0.6
    correction: Share = 0.4
    """How far the weights of a batch make up for drawing by priority, at first."""
    correction_updates: PositiveInt = 100_000
    """Updates after which they make up for it wholly."""


class SelfPlaySettings(Settings):
    """How experience is collected: by search, with noise."""

    temperatures: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    """Actions are drawn from visit counts to the power 1 / temperature; the phases share `temperature_updates` evenly,
    and the last one stays."""
    temperature_updates: PositiveInt = 100_000
    random_until_trained: bool = True
    """Before the first update all sampled joint actions are equally likely."""


class ReanalysisSettings(Settings):
    """Searches of policy targets in processes of their own, on the CPUs of this machine."""

    workers: NonNegativeInt = 0
    """Processes; 0: each update makes its own searches, with the delayed network as it is."""
    ahead: PositiveInt = 4
    """With workers, batches that are drawn and being searched before the update that learns from them.  So a search is
    at most `ahead` - 1 updates old, and its batch was drawn by the priorities from before them."""

    @model_validator(mode="after")
    def _keeps_all_busy(self) -> Self:
        if self.workers > self.ahead:
            raise ValueError(
                f"mazero.reanalysis.workers = {self.workers}, but only ahead = {self.ahead} batches are searched at a "
                "time; give fewer workers, or more ahead"
            )
        return self


class MazeroSettings(Settings):
    updates: PositiveInt = 8
    """Of the networks, per iteration; the paper makes half an update per environment step."""
    unroll: PositiveInt = 5
    """Steps that the model is unrolled in an update."""
    target_every: PositiveInt = 200
    """Updates after which the delayed network, which reanalyses and gives value targets, is renewed."""
    target_waits: bool = False
    """It takes the weights of one renewal earlier, as the script does on a GPU."""
    model: MazeroModelSettings = MazeroModelSettings()
    search: SearchSettings = SearchSettings()
    """Of searches while collecting, where policies are searched anew, and in evaluations with search."""
    targets: TargetSettings = TargetSettings()
    loss: MazeroLossSettings = MazeroLossSettings()
    optimiser: MazeroOptimiserSettings = MazeroOptimiserSettings()
    priority: PrioritySettings = PrioritySettings()
    play: SelfPlaySettings = SelfPlaySettings()
    reanalysis: ReanalysisSettings = ReanalysisSettings()
