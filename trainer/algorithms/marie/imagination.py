"""Imagination: the world model under the policy, from observations that were seen on (MARIE §3.3).

Axis legend: M start states, N agents, D observation, K tokens of an observation, H stacked observations, A entries of
an action mask, W width, R sequences, T tokens of a step of a sequence, S imagined states (transitions + 1).

All agents and start states are one batch.  The transformer reads every position once and keeps its keys and values;
when the context is full, it forgets its first steps and reads what is left anew, from the first position on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import repeat

import torch
from torch import Tensor, nn

from trainer.algorithms.marie.memory import GrowingMemory, MakeMemory
from trainer.algorithms.marie.model import MarieModel, Outcome
from trainer.algorithms.marie.policy_reads import PolicyReads
from trainer.algorithms.marie.tokenizer import Tokenizer
from trainer.experience.batch import Batch
from trainer.policy.draws import Draws
from trainer.policy.imagined import ImaginedRollout, joined
from trainer.policy.masks import imagined_mask
from trainer.policy.settings import PolicySettings


class Dream:
    """What the transformer has read of imagined sequences, and what it says of the token that comes next."""

    def __init__(self, model: MarieModel, *, starts: int, memory: MakeMemory | None = None) -> None:
        """`memory` is one that grows unless it is given."""
        self.model, self.starts = model, starts
        sequences = starts * model.agents // model.members
        with model.arithmetic():
            self._memory = GrowingMemory(model.transformer, sequences) if memory is None else memory(sequences)
        self._filled = 0
        self._blocks: list[Tensor] = []  # [R, block, W] each, of the steps that are not forgotten
        self.last = model.transformer.positions.new_empty(0)
        """[R, W]: the last hidden position."""

    def act(self, ids: Tensor, action: Tensor) -> Outcome:
        """Read what is left of a step, tokens int64 [M, N, K] and actions [M, N, ...], and say what it leads to."""
        model = self.model
        with model.arithmetic():
            block = model.embedded(ids.unsqueeze(1), action.unsqueeze(1))  # [R, block, W]
            self._read(block[:, self._filled % model.block :])
            outcome = model.outcome(self.last, segments=self.starts)
            if model.settings.slide:
                self._blocks.append(block)
                self._slide()
        return outcome

    def draw(self, draws: Draws) -> Tensor:
        """The tokens of the next step, int64 [M, N, K], one after another; `act` reads the last one."""
        model = self.model
        drawn: list[Tensor] = []
        with model.arithmetic():
            for _ in range(model.observed):
                if drawn:
                    self._read(model.token_table(drawn[-1]).unsqueeze(1))
                drawn.append(draws.latent(torch.softmax(model.next_logits(self.last), dim=-1)))
        return torch.stack(drawn, dim=1).reshape(self.starts, model.agents, -1)  # [R, T] -> [M, N, K]

    def _read(self, embedded: Tensor) -> None:
        self.last = self._memory.read(embedded, filled=self._filled)
        self._filled += embedded.shape[1]

    def _slide(self) -> None:
        """Make room for the next step where there is none."""
        settings = self.model.settings
        if len(self._blocks) == settings.context:
            self._blocks = self._blocks[settings.slide :]
            self._filled = 0
            self._read(torch.cat(self._blocks, dim=1))


@dataclass(frozen=True, kw_only=True)
class ImaginedStarts:
    """What was seen, to imagine from."""

    observation: Tensor
    """[M, H, N, D]: the newest last."""
    filled: Tensor
    """bool [M, H]: false before the episode began."""
    action: Tensor
    """[M, N, ...]: what led to the newest; anything at an episode's first."""
    first: Tensor
    """bool [M]: the newest is an episode's first."""
    available: Tensor
    """bool [M, N, A]: legal at the newest."""

    def parts(self, size: int) -> Iterator[ImaginedStarts]:
        """All of them in order, at most `size` at a time."""
        columns = {each.name: getattr(self, each.name).split(size) for each in fields(self)}
        for place in range(len(columns["first"])):
            yield ImaginedStarts(**{name: split[place] for name, split in columns.items()})


def starts_of(seen: Batch) -> ImaginedStarts:
    """The last rows of windows, and what led up to them."""
    window = seen.window
    return ImaginedStarts(
        observation=window.observation.transpose(0, 1),
        filled=seen.inside.transpose(0, 1),
        action=window.action[-1],
        first=window.first[-1],
        available=window.action_mask[-1],
    )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the policy does in joint states."""

    action: Tensor
    logits: Tensor
    available: Tensor | None


@dataclass(frozen=True, kw_only=True)
class MarieImagination:
    """World model, tokenizer and policy together."""

    model: MarieModel
    tokenizer: Tokenizer
    actor: nn.Module
    reads: PolicyReads
    settings: PolicySettings
    draws: Draws
    memory: MakeMemory | None = None
    """Of what the transformer has read; None: one that grows."""

    def roll_out(self, starts: ImaginedStarts, *, at_once: int = 0, actions: Tensor | None = None) -> ImaginedRollout:
        """`settings.horizon` transitions from every start, of so many at once (0: all); given `actions`
        [S-1, M, N, ...] are done in place of the policy's."""
        size = at_once or len(starts.first)
        given = repeat(None) if actions is None else actions.split(size, dim=1)
        parts = [self._roll_out(part, done) for part, done in zip(starts.parts(size), given, strict=False)]
        return parts[0] if len(parts) == 1 else joined(parts)

    @torch.no_grad()
    def _roll_out(self, starts: ImaginedStarts, given: Tensor | None) -> ImaginedRollout:
        tokenizer, reads = self.tokenizer, self.reads
        observed = starts.observation.transpose(1, 2)  # [M, N, H, D]
        ids = tokenizer.encode(observed[:, :, -1])
        before = reads.seen(tokenizer, observed[:, :, :-1])
        before = before.masked_fill(~starts.filled[:, None, :-1, None], 0.0)
        newest = reads.seen(tokenizer, observed[:, :, -1], ids, imagined=True)
        stack = torch.cat([before, newest.unsqueeze(2)], dim=2)  # [M, N, H, D]
        features = [reads.features(stack, action=starts.action, first=starts.first)]
        available = starts.available if self.model.available is not None else None

        dream = Dream(self.model, starts=ids.shape[0], memory=self.memory)
        decisions, outcomes = [], []
        for step in range(self.settings.horizon):
            decision = self.decide(features[-1], available)
            decisions.append(decision if given is None else replace(decision, action=given[step]))
            outcomes.append(dream.act(ids, decisions[-1].action))
            if outcomes[-1].available is not None:
                available = imagined_mask(outcomes[-1].available, self.settings, self.draws, actions=self.model.actions)
            ids = dream.draw(self.draws)
            newest = tokenizer.decode(ids, imagined=True).unsqueeze(2)
            stack = torch.cat([stack[:, :, 1:], newest], dim=2)
            features.append(reads.features(stack, action=decisions[-1].action, first=None))
        masks = [decision.available for decision in decisions if decision.available is not None]
        return ImaginedRollout(
            features=(torch.stack(features),),
            action=torch.stack([decision.action for decision in decisions]),
            logits=torch.stack([decision.logits for decision in decisions]),
            available=torch.stack(masks) if masks else None,
            reward=torch.stack([outcome.reward for outcome in outcomes]),
            continuation=torch.stack([outcome.continuation for outcome in outcomes]),
        )

    def decide(self, features: Tensor, available: Tensor | None) -> Decision:
        """Sample an action of every agent, for what policies read [M, N, F]."""
        logits = self.model.actions.masked(self.actor(features), available)
        return Decision(action=self.draws.action(logits, self.model.actions), logits=logits, available=available)
