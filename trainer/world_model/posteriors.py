"""Posteriors: a window of experience seen through an RSSM, row by row.

Axis legend: T time, B windows, N agents, K categoricals, C classes, G recurrent size, H width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from trainer.experience.links import known_ages
from trainer.experience.window import Window
from trainer.nets.observation_scale import ObservationScale, as_read, scale_of
from trainer.nets.scaled_head import ScaledHead, TwoHotHead
from trainer.nets.settings import LatentSettings
from trainer.nets.value_scale import ValueScale
from trainer.policy.distributions import ActionDistribution
from trainer.policy.imagined import Features
from trainer.world_model.received import readable
from trainer.world_model.rssm import TeamRSSM
from trainer.world_model.saying import are_sent, everyone, shares_sent, straight_through, unsaid, with_own

DrawIds = Callable[[Tensor], Tensor]
"""Draws class ids [...] from probabilities [..., C]."""


@dataclass(frozen=True, kw_only=True)
class Posteriors:
    """A window seen through the posterior.  Features of row t are [z_t, h_t]."""

    ids: Tensor
    """int64 [T, B, N, K]."""
    probabilities: Tensor
    """[T, B, N, K, C] of the posterior; carries the straight-through gradient of `ids`."""
    deter: Tensor
    """[T, B, N, G]."""
    said: Tensor | None = None
    """int64 [T, B, N, K]: the ids as they are sent, `classes` where one is not said; None: as they are."""
    shares: Tensor | None = None
    """[T, B, N, K]: the chance of each id to be said, with the gradient of `said`; None: 1."""
    ahead: Tensor | None = None
    """[T, B, N, G]: `deter` with whom the agents heard in the row before, as imagination holds it; None: the same.

    Whom an agent hears in a row is news of that row: a train that has arrived hears nobody.  What predicts a row from
    the one before must not read it, or the model learns to wait for what it is not told in imagination.
    """

    @property
    def foreseen(self) -> Tensor:
        """[T, B, N, G]: the recurrent state of each row as far as the row before tells."""
        return self.deter if self.ahead is None else self.ahead

    @property
    def sent(self) -> Tensor:
        """The ids as they are sent."""
        return self.ids if self.said is None else self.said

    def rows(self, count: int) -> Self:
        """The first `count` rows."""
        if count == len(self.ids):
            return self  # every slice of a wide tensor costs a pass over all of it on the way back
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        cut: dict[str, Any] = {name: None if value is None else value[:count] for name, value in every.items()}
        return type(self)(**cut)


NumbersOf = Callable[[Tensor, Tensor], Tensor]
"""The chances [..., K + 1] of each number of ids that is said, of ids [..., K] and deter [..., G]."""


class ActingModel(nn.Module):
    """What acting takes: an encoder of the own observation, and latents of the agents' own."""

    shows_observations: bool = False
    """Whether the policy reads what is observed beside the latents."""

    settings: LatentSettings
    actions: ActionDistribution
    encoder: nn.Module
    rssm: TeamRSSM
    saying: nn.Module | None
    """How many ids an agent says (`world_model.saying`); None: all of them."""


class Shows(Protocol):
    """What shows observations to the policy, or does not: a model, or an agent's part of one."""

    encoder: nn.Module
    shows_observations: bool


def shown(by: Shows, ids: Tensor, deter: Tensor, observation: Tensor) -> Features:
    """What the policy reads of latents and of the observations [..., D] that they are of."""
    return (ids, deter, as_read(by.encoder, observation)) if by.shows_observations else (ids, deter)


class LatentModel(ActingModel, ABC):
    """What a world model offers to its loss and to those who learn in its imagination.

    Features are ids [..., K], deter [..., G] and, where gradients reach the posterior, probabilities [..., K, C].
    """

    decoder: nn.Module
    reward: nn.Module
    continuation: nn.Module
    available: nn.Module | None
    information: nn.Module

    @property
    def observation_scale(self) -> ObservationScale | None:
        """On which observations are read and made again; None: as they are."""
        return scale_of(self.encoder)

    @property
    def reward_scale(self) -> ValueScale | None:
        """On which the reward head learns; None: on that of the rewards."""
        return self.reward.scale if isinstance(self.reward, ScaledHead | TwoHotHead) else None

    def imagined(self, ids: Tensor, deter: Tensor) -> Tensor | None:
        """What the policy reads as observed where nothing was, [..., D]: the reconstruction; None: latents alone."""
        return self.decoder(ids, deter)[0] if self.shows_observations else None

    @abstractmethod
    def observe(self, window: Window, draw_ids: DrawIds, *, reset_action_on_first: bool = True) -> Posteriors:
        """Run the posterior along a window from zero state; `first` rows start from zero again.

        Without `reset_action_on_first` the action before a first row still enters it (as published).
        """

    @abstractmethod
    def levels(self, posteriors: Posteriors) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each level of latents the name of its KL, and posterior and prior probabilities [T, B, N, K, C]."""

    def prediction_loss(self, window: Window, posteriors: Posteriors) -> Tensor | None:
        """Of messages that are not there, which agents of some models predict (`prediction_loss`)."""
        return None

    @abstractmethod
    def held(self, window: Window) -> Tensor | None:
        """Neighbour sets bool [T, B, N, N] that imagination holds; None: full attention, or none at all."""


# Eleven parameters: a window's tensors and the ways in which models differ.
def unroll(
    rssm: TeamRSSM,
    inputs: Tensor,
    action: Tensor,
    first: Tensor,
    *,
    draw_ids: DrawIds,
    hears: Tensor | None,
    reset_action_on_first: bool,
    age: Tensor | None = None,
    holds: bool = False,
    predicts: bool = False,
    saying: NumbersOf | None = None,
    foresees: bool = False,
) -> Posteriors:
    """Run an RSSM along posterior inputs [T, B, N, H], actions [T, B, N, ...] and first rows bool [T, B].

    `hears` [T, B, N, N] is None where nobody's messages are kept from anybody.  `age` [T, B, N, N] says how old the
    messages are that agents had at each row (`experience.links`), None: always new; with `holds` older ones are
    read, or with `predicts` what is predicted from them.
    `saying` tells how many ids agents say, see `saying.make_head`; None: all.  With `foresees` the states that are
    foreseen hold whom the agents heard in the row before (`Posteriors.ahead`).
    """
    length, batch, agents, _ = inputs.shape
    sizes = rssm.sizes
    keep = (~first).to(inputs.dtype).reshape(length, batch, 1, 1).expand(-1, -1, agents, -1)
    deter = inputs.new_zeros(batch, agents, sizes.recurrent)
    ids = torch.zeros(batch, agents, sizes.categoricals, dtype=torch.int64, device=inputs.device)
    probabilities = said_now = None
    all_ids: list[Tensor] = []
    all_probabilities, all_deter = [], []
    all_ahead: list[Tensor] = []
    all_sent: list[Tensor] = []
    all_shares: list[Tensor] = []
    said: list[Tensor] = []
    before_row = _neighbours_before(hears, first) if foresees and hears is not None else None
    for t, inputs_now in enumerate(inputs.unbind()):
        # A window that starts inside an episode has an action but no latent before its first row.
        keep_latent = keep[t] if t else torch.zeros_like(keep[t])
        keep_action = keep[t] if reset_action_on_first else torch.ones_like(keep[t])
        tokens = rssm.tokens(ids, action[t], keep_latent, keep_action, probabilities)
        if saying is not None:
            told = rssm.tokens(ids, action[t], keep_latent, keep_action, probabilities, said_now)
            tokens = with_own(rssm, tokens, told)
        heard, known = (None if each is None else each[t] for each in (hears, before_row))
        if age is not None:
            age_now = age[t]
            if holds:
                # What was said before the window began is not known.
                age_now = known_ages(age_now, t)
                tokens = rssm.as_read(tokens) if saying is None else tokens
                if not predicts:
                    said.append(tokens)
                    tokens = _held(said, age_now)
                elif t:
                    held = _messages_held(torch.stack(all_ids), action, age_now)
                    tokens = rssm.with_predicted(tokens, *held, age_now, deter * keep[t], draw_ids)
            heard, known = readable(heard, age_now), None if known is None else readable(known, age_now)
        if heard is None and saying is not None:
            heard = everyone(tokens)
        before = deter * keep[t]
        if known is None:
            deter = rssm.recur(rssm.communicate(tokens, heard), before)
        else:
            assert heard is not None
            rows = rssm.communicate(torch.cat([tokens, tokens]), torch.cat([heard, known]))
            deter, ahead = rssm.recur(rows, torch.cat([before, before])).chunk(2)
            all_ahead.append(ahead)
        probabilities = rssm.probabilities(rssm.posterior_logits(deter, inputs_now))
        ids = draw_ids(probabilities.detach())
        all_ids.append(ids)
        all_probabilities.append(probabilities)
        all_deter.append(deter)
        if saying is not None:
            numbers = saying(ids, deter)
            shares = shares_sent(numbers)
            are = are_sent(draw_ids(numbers.detach()), sizes.categoricals)
            said_now = straight_through(are, shares)
            all_shares.append(shares)
            all_sent.append(unsaid(ids, are, classes=sizes.classes))
    return Posteriors(
        ids=torch.stack(all_ids),
        probabilities=torch.stack(all_probabilities),
        deter=torch.stack(all_deter),
        said=torch.stack(all_sent) if all_sent else None,
        shares=torch.stack(all_shares) if all_shares else None,
        ahead=torch.stack(all_ahead) if all_ahead else None,
    )


def _neighbours_before(hears: Tensor, first: Tensor) -> Tensor:
    """Whom the agents heard in the row before, bool [T, B, N, N]; at the first row of an episode or a window, in it."""
    return torch.where(first[..., None, None], hears, torch.cat([hears[:1], hears[:-1]]))


def _messages_held(ids: Tensor, action: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
    """Ids [B, N, N, K] and actions [B, N, N, ...] of messages that are held at a row T, by what was said before it, ids
    [T, B, N, K], the actions [T + 1..., B, N, ...] that led to each row, and ages [B, N, N] of what is held."""
    batch, agents = ids.shape[1:3]
    row = (len(ids) - 1 - age.clamp(min=0)).clamp(min=0)
    window = torch.arange(batch, device=ids.device)[:, None, None]
    sender = torch.arange(agents, device=ids.device)
    return ids[row, window, sender], action[row + 1, window, sender]


def _held(said: list[Tensor], age: Tensor) -> Tensor:
    """Of the tokens [B, N, N, H] of each step so far those that are held at the last one: [B, N, N, H]."""
    if len(said) == 1:
        return said[0]
    tokens = torch.stack(said)  # [T, B, N, N, H]
    step = (len(said) - 1 - age.long().clamp(min=0))[None, ..., None].expand(-1, -1, -1, -1, tokens.shape[-1])
    return tokens.gather(0, step).squeeze(0)
