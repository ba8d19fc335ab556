"""Acting and imagining by a team that learns with a channel, which loses messages or brings them late.

Axis legend: E copies, M joint states, T time, B windows, N agents, K categoricals, L newest messages that are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainer.algorithms.dreamer.execution import Team, TeamState, team_step
from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import AGE, DOWN, FAULT, SENT, begin, known_ages, sent_to, with_faults
from trainer.experience.window import Window
from trainer.policy.draws import Draws, RandomDraws
from trainer.world_model.imagination import JointStates
from trainer.world_model.posteriors import ActingModel, Posteriors
from trainer.world_model.received import Received, readable
from trainer.world_model.withholding import LastSent, ages_of, last_sent_in


@dataclass(frozen=True, kw_only=True)
class HoldingState(TeamState):
    """What a team carries that reads older messages where it has no newer ones; see `Received`."""

    held_ids: Tensor
    held_action: Tensor
    recent_ids: Tensor
    recent_action: Tensor
    last_ids: Tensor
    """int64 [E, N, K] of the last messages that were sent."""
    last_steps: Tensor
    """int64 [E, N]: how long ago that was."""
    sent: Tensor
    """bool [E, N]: who sent the message of the last step."""

    @property
    def last(self) -> LastSent:
        return LastSent(ids=self.last_ids, steps=self.last_steps)

    @property
    def received(self) -> Received:
        return Received(
            ids=self.held_ids,
            action=self.held_action,
            recent_ids=self.recent_ids,
            recent_action=self.recent_action,
        )


@dataclass(frozen=True, kw_only=True)
class LossyTeam(Team):
    """Collects with a channel, whose `age` it is told at every step, and acts as any team without it."""

    channel: ChannelSettings

    def columns(self, state: TeamState) -> dict[str, Tensor]:
        return {SENT: state.sent} if self.channel.withholds and isinstance(state, HoldingState) else {}

    def initial_state(self, copies: int) -> TeamState:
        state = super().initial_state(copies)
        if not self.channel.holds:
            return state
        received = Received.nothing(state.ids, state.action, longest=self.channel.delay_steps)
        return _holding(
            state, received, LastSent.nothing(state.ids), torch.zeros_like(state.ids[..., 0], dtype=torch.bool)
        )

    # Eight parameters: those of `Actor.act`, and the age.
    def act(
        self,
        state: TeamState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
        age: Tensor | None = None,
    ) -> tuple[Tensor, TeamState]:
        """`age` int64 [E, N, N] is that of the messages that are held; None: everyone has everyone's last one."""
        received = None
        if age is None and self.channel.withholds and isinstance(state, HoldingState):
            age = torch.where(first[:, None, None], 0, ages_of(state.last))
        if age is not None:
            hears = readable(hears, age)
            if isinstance(state, HoldingState):
                own = None if state.said is None else state.ids
                received = state.received.after(state.told, state.action, age, own)
        decision = team_step(
            self.model,
            self.actor,
            state,
            observation=observation,
            action_mask=action_mask,
            hears=hears,
            first=first,
            draws=draws,
            received=received,
        )
        following = decision.state
        if isinstance(state, HoldingState):
            last, sent = state.last.after(following.told, self.channel, first=first)
            following = _holding(following, state.received if received is None else received, last, sent)
        return decision.action, following


def make_team(channel: ChannelSettings, *, model: ActingModel, actor: nn.Module, agents: int) -> Team:
    """With a channel if there is one."""
    if not channel.is_on:
        return Team(model=model, actor=actor, agents=agents)
    return LossyTeam(model=model, actor=actor, agents=agents, channel=channel)


def _holding(state: TeamState, received: Received, last: LastSent, sent: Tensor) -> HoldingState:
    return HoldingState(
        ids=state.ids,
        action=state.action,
        deter=state.deter,
        said=state.said,
        held_ids=received.ids,
        held_action=received.action,
        recent_ids=received.recent_ids,
        recent_action=received.recent_action,
        last_ids=last.ids,
        last_steps=last.steps,
        sent=sent,
    )


# Six parameters: where imagination starts, and what draws its links.
def with_links(
    start: JointStates,
    window: Window,
    posteriors: Posteriors,
    rows: slice,
    *,
    channel: ChannelSettings,
    draws: RandomDraws,
) -> JointStates:
    """The states of those rows of a window, with links that go on from what is held there, by the faults of the row's
    episode: what has come by a row tells of what will, and drawn anew they would tell otherwise."""
    batch, agents = posteriors.ids.shape[1:3]
    like, device = posteriors.deter, posteriors.deter.device

    def uniform(shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, dtype=like.dtype, device=device, generator=draws.generator)

    age, begun = _within(window.columns[AGE].long(), window.first)
    steps = torch.arange(len(begun), device=device)[:, None] - begun
    links = begin(channel, rows=age[rows].shape[0] * batch, agents=agents, uniform=uniform)
    links = replace(links, age=age[rows].flatten(0, 1), steps=steps[rows].flatten())
    if channel.share:
        links = with_faults(links, *(window.columns[name][rows].flatten(0, 1) for name in (FAULT, DOWN)))
    received = last = sent = None
    if channel.withholds:
        sent = window.columns[SENT]
        fields = last_sent_in(posteriors.sent, sent, begun)
        last = LastSent(
            **{name: value[rows].flatten(0, 1) for name, value in zip(("ids", "steps"), fields, strict=True)}
        )
    if (told := sent_to(sent, _reach(window))) is not None:
        links = replace(links, sent=_recently(told, longest=channel.delay_steps)[rows].flatten(0, 1))
    if channel.holds:
        received = Received(
            **{
                name: value[rows].flatten(0, 1)
                for name, value in _received(
                    posteriors.sent, window.action.roll(-1, dims=0), age, longest=channel.delay_steps
                ).items()
            }
        )
    return replace(start, links=links, received=received, last=last)


def _within(age: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """Ages [T, B, N, N] of what was said in the window, and rows [T, B] at which the episode or the window began."""
    row = torch.arange(len(first), device=first.device)[:, None]
    begun = torch.where(first, row, 0).cummax(0).values
    return known_ages(age, row[:, :, None, None]), begun


def _reach(window: Window) -> Tensor | None:
    """Whom the message of the row before reached, bool [T, B, N, N], see the collector; None: everyone."""
    if window.hears is None:
        return None
    return window.hears | (window.hears.roll(1, dims=0) & ~window.first[..., None, None])


def _recently(sent: Tensor, *, longest: int) -> Tensor:
    """`Links.sent` [T, B, L, N, N] at each row; `sent` bool [T, B, N, N] is about the messages of the row before."""
    row = torch.arange(len(sent), device=sent.device)
    past = row[:, None] - torch.arange(longest + 1, device=sent.device)  # [T, L]
    found = sent[past.clamp(min=0)] & (past >= 0)[..., None, None, None]  # [T, L, B, N, N]
    return found.transpose(1, 2)


def _received(ids: Tensor, action: Tensor, age: Tensor, *, longest: int) -> dict[str, Tensor]:
    """The fields of `Received` at each row, [T, B, ...], by what was said [T, B, N, K] and done [T, B, N, ...]."""
    length, batch, agents = ids.shape[:3]
    device = ids.device
    row, column = torch.arange(length, device=device), torch.arange(batch, device=device)
    sender = torch.arange(agents, device=device)
    before = (row[:, None, None, None] - 1 - age.clamp(min=0)).clamp(min=0)  # [T, B, N, N]
    where = (before, column[None, :, None, None], sender[None, None, None])
    past = (row[:, None] - 1 - torch.arange(longest + 1, device=device)).clamp(min=0)  # [T, L]

    def recent(values: Tensor) -> Tensor:
        return values[past].transpose(1, 2)  # [T, L, B, N, ...] -> [T, B, L, N, ...]

    found: dict[str, Any] = {
        "ids": ids[where],
        "action": action[where],
        "recent_ids": recent(ids),
        "recent_action": recent(action),
    }
    return found
