"""The links of many teams while they learn: which message an agent holds of another one at every step.

The process is the simulated channel's (`coordinator.channel`), whose draws are pure functions of an episode; these
come from a generator of the training.

Axis legend: M rows (copies of the environment, or imagined starts), N agents; of [N, N], entry [i, j] is about the
messages from j to i.  An age is the number of steps by which what i holds of j is older than what j said last: 0 for a
message that is in time, `NOTHING` if none has come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainer.experience.channel_settings import KINDS, ChannelSettings
from trainer.nets.joint_rows import JointRows

AGE = "age"
"""The column of replay that the collector fills with the ages at each row, int8 [N, N]."""
FAULT = "fault"
"""That of what befalls the messages of the row's episode, float32 [4]: the fields `OF_EPISODE` of `Links`."""
DOWN = "down"
"""That of links that are down at a row, int8 [N, N]: 1 in a burst, 2 for the whole episode, 3 both."""
SENT = "sent"
"""The column of who sent the message of the step before, bool [N], where some is withheld."""
NOTHING = -1
OLDEST = 127
"""In replay, whatever is as old as this or older."""

CHANNEL = (AGE, FAULT, DOWN)
OF_EPISODE = ("erasure", "to_bad", "to_good", "delay")

Uniform = Callable[[tuple[int, ...]], Tensor]
"""Numbers in [0, 1) of a shape."""


@dataclass(frozen=True, kw_only=True)
class Links(JointRows):
    """What befalls the messages of each row's episode, and what is held now."""

    erasure: Tensor
    """[M]: probability of a loss."""
    to_bad: Tensor
    """[M]: probability of a good link to be bad at the next step."""
    to_good: Tensor
    """[M]: of a bad one to be good."""
    delay: Tensor
    """int64 [M]: steps by which every message is late."""
    dropped: Tensor
    """bool [M, N, N]: not heard in this episode."""
    bad: Tensor
    """bool [M, N, N]: in a burst."""
    steps: Tensor
    """int64 [M]: steps of the episode so far."""
    age: Tensor
    """int64 [M, N, N]; 0 on the diagonal."""
    sent: Tensor
    """bool [M, L, N, N]: which of the newest messages were sent to whom, the newest first, as many as may be on their
    way.  Nothing is said before an episode begins, whatever this holds of it."""


def begin(settings: ChannelSettings, *, rows: int, agents: int, uniform: Uniform) -> Links:
    """Links at the first step of episodes, where the zero vector counts as everyone's message; rates are drawn."""
    kind = _kinds(settings, rows, uniform)
    rate = uniform((rows,))

    def of_kind(name: str) -> Tensor:
        return (kind == KINDS.index(name)).to(rate.dtype) * rate

    loss = settings.burst_loss * of_kind("burst_loss")
    mean_steps = 1 + (settings.burst_steps - 1) * uniform((rows,))
    # Bursts that are short for such a loss last as long as they must.
    mean_steps = torch.maximum(mean_steps, loss / (1 - loss))
    every = (rows, agents, agents)
    late = (settings.delay_steps * uniform((rows,))).long() + 1
    return Links(
        erasure=settings.erasure * of_kind("erasure"),
        to_bad=loss / (1 - loss) / mean_steps,
        to_good=1 / mean_steps,
        delay=torch.where(kind == KINDS.index("delay_steps"), late, 0),
        dropped=uniform(every) < _wide(settings.dropout * of_kind("dropout")),
        bad=uniform(every) < _wide(loss),
        steps=torch.zeros(rows, dtype=torch.int64, device=rate.device),
        age=torch.zeros(every, dtype=torch.int64, device=rate.device),
        sent=torch.ones(rows, settings.delay_steps + 1, agents, agents, dtype=torch.bool, device=rate.device),
    )


def advance(links: Links, settings: ChannelSettings, uniform: Uniform, sent: Tensor | None = None) -> Links:
    """Links one step later: what has come by then of what was said before.

    `sent` bool [M, N, N] tells who sent its newest message to whom (`sent_to`); None: everyone to everyone.
    """
    every = tuple(links.age.shape)
    now = torch.ones_like(links.sent[:, 0]) if sent is None else sent
    on_their_way = torch.cat([now.unsqueeze(1), links.sent[:, :-1]], dim=1)  # [M, L, N, N]
    rows = torch.arange(every[0], device=links.age.device)
    steps = links.steps + 1
    # The state of the first step is that of the first message.
    change = uniform(every)
    moved = torch.where(links.bad, change >= _wide(links.to_good), change < _wide(links.to_bad))
    bad = torch.where(_wide(steps > 1), moved, links.bad)
    lost = (uniform(every) < _wide(links.erasure)) | bad | links.dropped
    arrives = ~lost & _wide(steps > links.delay) & on_their_way[rows, links.delay]
    older = torch.where((links.age == NOTHING) | _wide(steps == 1), NOTHING, links.age + 1)
    if not settings.holds:
        older = torch.full_like(older, NOTHING)
    # What comes late tells nothing new to whoever holds something newer.
    comes = arrives & ((older == NOTHING) | (_wide(links.delay) < older))
    age = torch.where(comes, _wide(links.delay), older)
    own = torch.eye(every[-1], dtype=torch.bool, device=age.device)
    return replace(links, steps=steps, bad=bad, age=torch.where(own, 0, age), sent=on_their_way)


def sent_to(sent: Tensor | None, reach: Tensor | None) -> Tensor | None:
    """Whose message goes to whom, bool [..., N, N]: of those who send one, `sent` [..., N], to those whom it reaches,
    `reach` [..., N, N].  None: all of them."""
    if sent is None:
        return reach
    everyone = sent.unsqueeze(-2).expand(*sent.shape, sent.shape[-1])
    return everyone if reach is None else everyone & reach


def fault_columns(links: Links) -> dict[str, Tensor]:
    """What is stored in replay of the faults of each row's episode: `FAULT` [M, 4] and `DOWN` [M, N, N]."""
    fault = torch.stack([getattr(links, name).to(links.erasure.dtype) for name in OF_EPISODE], dim=-1)
    return {FAULT: fault, DOWN: links.bad.to(torch.int8) + 2 * links.dropped.to(torch.int8)}


def with_faults(links: Links, fault: Tensor, down: Tensor) -> Links:
    """The same, with what `fault_columns` gave of others."""
    of_episode = dict(zip(OF_EPISODE, fault.to(links.erasure.dtype).unbind(-1), strict=True))
    of_episode["delay"] = of_episode["delay"].long()
    return replace(links, **of_episode, bad=down % 2 == 1, dropped=down >= 2)


def known_ages(age: Tensor, row: Tensor | int) -> Tensor:
    """At rows `row` of a window, the ages [..., N, N] of what was said since its first row; `NOTHING` for what is
    older, or of an age that replay does not tell."""
    age = age.long()  # a row may be a number that ages in replay are too narrow for
    known = (age == 0) | ((age < row) & (age < OLDEST))
    return torch.where(known, age, NOTHING)


def begin_again(links: Links, fresh: Links, rows: Tensor) -> Links:
    """The same with the links of `fresh` in place of those of some rows, int64 [R]."""

    def joined(old: Tensor, new: Tensor) -> Tensor:
        both = old.clone()
        both[rows] = new
        return both

    values = {name: joined(getattr(links, name), getattr(fresh, name)) for name in links.__dataclass_fields__}
    return Links(**values)


def _kinds(settings: ChannelSettings, rows: int, uniform: Uniform) -> Tensor:
    """int64 [M]: the place of each row's fault in `KINDS`, or -1 for none."""
    # Without any, a share of 0 of the episodes has one.
    enabled = torch.tensor([KINDS.index(name) for name in settings.kinds or KINDS[:1]])
    drawn: Any = uniform((rows,))
    which = (uniform((rows,)) * len(enabled)).long()
    return torch.where(drawn < settings.share, enabled.to(drawn.device)[which], -1)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None]
