"""What a channel does to messages while a team learns, so that it can act when they are lost or late.

Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from heliograph.settings import Settings

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class ChannelSettings(Settings):
    """Rates are drawn anew for every episode of every copy, and for every imagined start; each has one fault at most.

    What was heard is stored in replay, and what is learned from it and imagined is heard alike.
    """

    share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Of the episodes that have a fault, any of those below that are not 0 as likely as another; 0: every message
    always arrives."""
    erasure: Share = 0.0
    """Largest probability with which a message is lost, each by itself; the least is 0."""
    burst_loss: Share = 0.0
    """Largest share of steps at which a link is down, in bursts (Gilbert-Elliott, as the simulated channel's)."""
    burst_steps: Annotated[float, Field(ge=1.0, le=1000.0)] = 3.0
    """Longest mean length of a burst, in steps; the least is 1."""
    delay_steps: NonNegativeInt = 0
    """Most whole steps by which all messages of an episode come late; the least is 1."""
    dropout: Share = 0.0
    """Largest probability with which an agent does not hear another one during a whole episode."""
    heartbeat: NonNegativeInt = 0
    """Steps after which an agent sends in any case; before that it withholds what is much as its last message.  0: it
    sends at every step."""
    changes: NonNegativeInt = 0
    """Ids of a latent that may be others than in the agent's last message while it withholds it."""
    late: Literal["mask", "hold", "predict"] = "mask"
    """What stands for a message that is not there, as `--late` of a run says: nothing, the sender's last one that came,
    or what its receiver predicts from that, which it learns; run the team as it was trained."""
    filling: Literal["mean", "mode", "sample"] = "mean"
    """What of a predicted distribution stands for the message: its mean, its most likely latent, or one drawn from
    it."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the faults that there are."""
        return tuple(name for name in KINDS if getattr(self, name))

    @property
    def is_on(self) -> bool:
        """Whether some messages do not come when they are made."""
        return self.share > 0 or self.withholds

    @property
    def withholds(self) -> bool:
        return self.heartbeat > 1

    @property
    def holds(self) -> bool:
        """Whether older messages stand in for those that are not there, as they are or as what is predicted of them."""
        return self.late != "mask"

    @property
    def predicts(self) -> bool:
        return self.late == "predict"

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.share and not self.kinds:
            raise ValueError(f"channel.share is {self.share:g}, but no fault is above 0; give {', '.join(KINDS)}")
        if self.kinds and not self.share:
            raise ValueError(
                f"channel.{self.kinds[0]} is above 0, but channel.share is 0, so that no episode has a fault; give the "
                "share of those that have one"
            )
        if self.withholds and not self.holds:
            raise ValueError("channel.heartbeat needs channel.late = hold, by which the last message goes on to count")
        if self.withholds and self.predicts:
            raise ValueError(
                "channel.heartbeat needs channel.late = hold, since a sender that withholds its message cannot know "
                "what its receivers predict"
            )
        if self.predicts and not self.share:
            raise ValueError(
                "channel.late is predict, but channel.share is 0, so that no message is ever missing; give the share "
                "of episodes that have a fault"
            )
        if self.filling != _DEFAULTS["filling"] and not self.predicts:
            raise ValueError(
                f"channel.filling is {self.filling}, but channel.late = {self.late} predicts nothing; leave it out, or "
                "give late = predict"
            )
        if self.burst_steps != _DEFAULTS["burst_steps"] and not self.burst_loss:
            raise ValueError(
                f"channel.burst_steps is {self.burst_steps:g}, but channel.burst_loss is 0, so that there are no "
                "bursts; leave it out, or give their share"
            )
        if self.changes and not self.withholds:
            raise ValueError("channel.changes says what is withheld, which needs a channel.heartbeat of 2 or more")
        if self.delay_steps and not self.holds:
            raise ValueError(
                "channel.delay_steps needs channel.late = hold, since with late = mask a message that is late is "
                "never read"
            )
        if self.holds and not self.is_on:
            raise ValueError(
                "channel.late is hold, but every message is sent and always arrives (channel.share is 0), so that none "
                "is ever missing; give the share of episodes that have a fault, or a heartbeat"
            )
        return self


KINDS = ("erasure", "burst_loss", "delay_steps", "dropout")
_DEFAULTS = {name: field.default for name, field in ChannelSettings.model_fields.items()}
