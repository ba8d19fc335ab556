"""Settings of actor, critic, imagination and PPO (MAMBA §3.3; published values are the defaults)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from heliograph.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ModelBasedSettings(Settings):
    """Of an algorithm with a world model that is updated so often an iteration; it has `model_updates` and `policy`."""

    train_ratio: PositiveFloat | None = None
    """World-model updates per environment step: `model_updates` and `policy.rounds` become as many an iteration as that
    makes, at least one, and keep their proportion to one another; none: they are as they are."""

    @property
    def learns_from_experience(self) -> bool:
        """Whether the policy learns from what it has just done, too."""
        policy: PolicySettings = self.policy  # type: ignore[attr-defined]  # declared by each
        return policy.experience_epochs > 0

    def of_iteration(self, env_steps: int) -> Self:
        """With the counts of an iteration of so many environment steps."""
        if self.train_ratio is None:
            return self
        usual: int = self.model_updates  # type: ignore[attr-defined]  # declared by each, with what is published
        policy: PolicySettings = self.policy  # type: ignore[attr-defined]  # the same
        updates = max(1, round(self.train_ratio * env_steps))
        rounds = max(1, round(policy.rounds * updates / usual))
        return self.model_copy(
            update={"model_updates": updates, "policy": policy.model_copy(update={"rounds": rounds})}
        )


class PolicySettings(Settings):
    """One round: sample windows, imagine from their posteriors, then `epochs` of PPO over what was imagined."""

    rounds: PositiveInt = 4
    """Independent rounds per training iteration (the paper's "number of updates")."""
    horizon: PositiveInt = 14
    """Imagined transitions per start state; the released code says 15 states, which are 14 transitions."""
    start_states: PositiveInt | None = None
    """At most so many imagined start states, chosen at random; none: all posteriors of the sampled windows."""
    discount: Share = 0.99
    trace: Share = 0.95
    """Lambda of the lambda-return."""
    reward_sharing: Literal["team", "individual"] = "team"
    """Average the imagined reward over the agents (as published), or let everyone collect its own."""
    advantage_normalisation: bool = True
    """Over the whole imagined batch; published: SMAC yes, Flatland no."""
    available: Literal["sample", "threshold"] = "sample"
    """Predicted action masks in imagination: drawn as published, or those with probability 0.5 and more."""
    force_available: bool = True
    """Give a row whose predicted mask is empty its likeliest action; published: false, uniform over all."""
    epochs: PositiveInt = 5
    minibatch: PositiveInt = 2000
    """Joint rows (all agents of one imagined state) per PPO step."""
    clip: PositiveFloat = 0.2
    entropy_scale: NonNegativeFloat = 1e-3
    entropy_decay: Share = 0.99998
    """Factor on the entropy scale after every minibatch."""
    entropy_floor: NonNegativeFloat = 0.0
    """The entropy scale never decays below this."""
    actor_learning_rate: PositiveFloat = 5e-4
    critic_learning_rate: PositiveFloat = 5e-4
    actor_weight_decay: NonNegativeFloat = 1e-5
    """L2 term of the actor's Adam; in the released code, not in the paper."""
    gradient_clip: PositiveFloat = 100.0
    """The paper's table says 10, the released code uses 100."""
    critic_heads: PositiveInt = 8
    warm_up_updates: NonNegativeInt = 0
    """Model updates before the first round: PPO on a reward model that knows nothing destroys the entropy."""
    reward_r2: float | None = None
    """Share of the variance of held-out rewards that the model must once explain before the first round; none:
    `warm_up_updates` alone decides, as published."""
    experience_epochs: NonNegativeInt = 0
    """Epochs of PPO over what was just collected, seen through the model, before the rounds; published: none."""
    imagination_teaches: Literal["both", "critic"] = "both"
    """Actor and critic, as published, or the critic alone; the actor then learns from experience."""
    survival_weighting: bool = False
    """An imagined row counts as much as it is likely to be reached; published: every row the same."""
    start_alive: bool = False
    """Imagine from no state in which everything has ended; published: from all, but for MARIE, which never does."""
    value_normalisation: bool = False
    """The critic learns returns less their running mean, in units of their deviation; published: as they are."""
    entropy_target: Share | None = None
    """Share of the largest entropy that legal actions allow, which the entropy scale is steered to hold, beginning at
    `entropy_scale`; none: the scale follows `entropy_decay`, as published."""
    entropy_rate: PositiveFloat = 0.02
    """How fast it is steered, by minibatch: its logarithm moves by the rate times what is missing of the share."""

    @model_validator(mode="after")
    def _somebody_teaches_the_actor(self) -> Self:
        if self.imagination_teaches == "critic" and not self.experience_epochs:
            raise ValueError(
                "imagination_teaches = critic with experience_epochs = 0: the actor would learn from nothing; "
                "set experience_epochs, 8 for example"
            )
        return self
