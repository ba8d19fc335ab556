"""Settings of MARIE; published values are the defaults, but for what is said to be a bug."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from trainer.algorithms.marie.model_settings import MarieLossSettings, MarieModelSettings, MarieOptimiserSettings
from trainer.algorithms.marie.tokenizer_settings import DISCRETISE_OTHERWISE, UNBOUNDED, TokenizerSettings
from trainer.experience.settings import ReplaySettings
from trainer.policy.settings import ModelBasedSettings, PolicySettings, Share


class MariePolicySettings(PolicySettings):
    """As for the other world models, and what is another."""

    hidden: PositiveInt = 256
    """Width of actor and critic."""
    stack: PositiveInt = 5
    """Reconstructed observations that they read, the newest last; 1 on 2c_vs_64zg and on SMAX."""
    read_agent: bool = False
    """They read which agent it is, too; published on 2c_vs_64zg."""
    read_last_action: bool = False
    """They read what the agent did last, too; published on 2c_vs_64zg."""
    reads: Literal["reconstructions", "observations"] = "reconstructions"
    """What they read where something was observed: what the tokenizer makes of it, as published, or the observation
    itself on the tokenizer's scale, so that nothing is lost in codes and nothing moves as these learn.  What is
    imagined is a reconstruction either way."""
    temperature: PositiveFloat = 1.0
    """Of the policy at execution, but not in imagination; the released code has 2 on 3s_vs_5z."""
    rounds: PositiveInt = 5
    """Rounds per training iteration; the paper's 4 to 10, or 30 where the horizon is short."""
    start_states: PositiveInt = 600
    """Imagined rollouts per round."""
    at_once: NonNegativeInt = 0
    """Rollouts that are imagined at once, each of which takes megabytes for keys and values; 0: all, for a GPU."""
    start_from: Literal["steps", "episodes"] = "steps"
    """Rollouts start uniformly anywhere in what was seen; or, as published, in uniformly drawn episodes, of which short
    ones then count for too much, and never after the first agent's end."""
    reward_sharing: Literal["team", "individual"] = "individual"
    """Average the imagined reward over the agents, or let everyone collect its own (as published)."""
    entropy_decay: Share = 1.0
    """Factor on the entropy scale after every minibatch; published: none."""
    critic_weight_decay: NonNegativeFloat = 1e-5
    """L2 term of the critic's Adam; in the released code, not in the paper."""
    warm_up_updates: NonNegativeInt = 2000
    """Model updates before the first round; published: those of ten iterations."""


class MarieSettings(ModelBasedSettings):
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: MarieModelSettings = MarieModelSettings()
    loss: MarieLossSettings = MarieLossSettings()
    optimiser: MarieOptimiserSettings = MarieOptimiserSettings()
    policy: MariePolicySettings = MariePolicySettings()
    model_updates: PositiveInt = 200
    """World-model updates per training iteration, each on fresh windows."""
    model_warm_up: NonNegativeInt = 9
    """Training iterations in which the tokenizer alone learns, before the world model does."""
    sampling: Literal["uniform", "visits"] = "uniform"
    """Rows of the tokenizer's batches and beginnings of the world model's windows are drawn uniformly; or, as in the
    released code, without replacement and by 1 - visits / all visits, which each of the two counts for itself."""

    def misfit(self, replay: ReplaySettings) -> str:
        """A training window has at most as many steps as there are positions for."""
        steps, context = replay.window - 1, self.model.context
        if steps <= context:
            return ""
        return (
            f"replay.window = {replay.window} rows are {steps} steps, but marie.model.context = {context} has positions"
            " for fewer: make one smaller or the other larger"
        )

    @property
    def continuous_misfit(self) -> tuple[str, str] | None:
        """Bins are of bounded observations alone."""
        return (UNBOUNDED, DISCRETISE_OTHERWISE) if self.tokenizer.discretisation == "bins" else None

    @model_validator(mode="after")
    def _has_positions(self) -> Self:
        horizon, model = self.policy.horizon, self.model
        if horizon + 1 > model.context and not model.slide:
            raise ValueError(
                f"policy.horizon = {horizon} imagines {horizon + 1} states, but model.context = {model.context} has "
                "positions for fewer: make model.context larger, or let it slide with model.slide"
            )
        return self

    @model_validator(mode="after")
    def _learns_from_its_own_doing(self) -> Self:
        policy = self.policy
        if policy.experience_epochs and policy.temperature != 1:
            raise ValueError(
                f"policy.experience_epochs = {policy.experience_epochs} learns from what the policy did, but "
                f"policy.temperature = {policy.temperature:g} has it act by another: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _shares_its_width(self) -> Self:
        hidden, heads = self.policy.hidden, self.policy.critic_heads
        if hidden % heads:
            raise ValueError(f"policy.critic_heads = {heads} does not divide policy.hidden = {hidden}")
        return self
