"""The world model: sequences of tokens, actions and aggregates, a transformer over them, and its heads (MARIE §3.2).

Axis legend: B segments, L steps, N agents, K tokens of an observation, C codes, P tokens of an action, A entries of an
action mask, W width, m agents of a sequence (1, or N in the centralised manner), n = N / m sequences of a team,
R = B * n sequences, S positions.

A block is one step of a sequence: the m * K tokens of its observations, the m * P tokens of its actions and, with
aggregation, the aggregate.  Its last position tells reward, continuation, the next available actions and the first
token of the next step; each token but the last of a step tells the one after it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.algorithms.marie.action_tokens import action_tokens, tokens_per_action
from trainer.algorithms.marie.aggregation import Perceiver
from trainer.algorithms.marie.model_settings import MarieModelSettings
from trainer.algorithms.marie.transformer import Transformer
from trainer.nets.perceptron import perceptron
from trainer.nets.value_codes import GaussianBins
from trainer.policy.distributions import ActionDistribution

PUBLISHED_DEVIATION, EMBEDDING_DEVIATION = 0.02, 0.5
"""Of all initial weights, and of embeddings where matrices are scaled."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """What the blocks of segments tell."""

    observation: Tensor
    """Logits [B, n, L * m * K, C]: the i-th is of the token after the i-th of a sequence."""
    reward: Tensor
    """[B, L, N, 1], or logits of the bins."""
    continuation: Tensor
    """Logits [B, L, N]."""
    available: Tensor | None
    """Logits [B, L, N, A], or [B, L, N, A, 2] of no and yes; None without action masks."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a joint action is expected to lead to."""

    reward: Tensor
    """[B, N]."""
    continuation: Tensor
    """[B, N] probability that the agent's future goes on."""
    available: Tensor | None
    """[B, N, A] probability that an action is available next; None without action masks."""


class MarieModel(nn.Module):
    """All that learns from the losses of §3.2; the tokenizer is apart."""

    # Seven parameters: the sizes of a world and of its tokens, each by its name.
    def __init__(
        self,
        settings: MarieModelSettings,
        *,
        agents: int,
        tokens: int,
        vocabulary: int,
        actions: ActionDistribution,
        action_masks: bool,
    ) -> None:
        """`tokens` is K, `vocabulary` C."""
        super().__init__()
        self.settings, self.actions, self.agents, self.tokens = settings, actions, agents, tokens
        self.members = agents if settings.manner == "centralised" else 1
        self.per_action, choices = tokens_per_action(actions, bins=settings.action_bins)
        width = settings.width
        self.observed = self.members * tokens
        """Positions of a block that hold tokens of observations."""
        self.block = self.observed + self.members * self.per_action + (settings.aggregation == "perceiver")
        """Positions of a block."""
        self.token_table = nn.Embedding(vocabulary, width)
        self.action_table = nn.Embedding(self.per_action * choices, width)
        # A dimension of an action has rows of its own, as the Perceiver knows no positions.
        self.register_buffer("action_offsets", torch.arange(self.per_action) * choices, persistent=False)
        self.action_offsets: Tensor
        self.transformer = Transformer(
            width=width,
            layers=settings.layers,
            heads=settings.heads,
            positions=settings.context * self.block,
            dropout=settings.dropout,
        )
        perceiver = Perceiver(settings.perceiver, agents=agents, width=width, dropout=settings.dropout)
        self.perceiver = perceiver if settings.aggregation == "perceiver" else None
        bins, hidden = settings.reward_bins, settings.available_hidden
        self.reward_bins = (
            GaussianBins(bins=bins.count, lowest=bins.lowest, highest=bins.highest)
            if settings.reward == "bins"
            else None
        )
        self.next_token = perceptron([width, width, vocabulary], nn.ReLU)
        rewards = self.members * (1 if self.reward_bins is None else bins.count)
        self.reward = perceptron([width, width, width, rewards], nn.ReLU)
        self.continuation = perceptron([width, width, width, self.members], nn.ReLU)
        availabilities = self.members * actions.mask_size * (1 + (settings.available == "pairs"))
        self.available = perceptron([width, hidden, hidden, availabilities], nn.ReLU) if action_masks else None
        self._initialise(published=settings.initialisation == "published")

    def forward(self, ids: Tensor, action: Tensor, cut: Tensor) -> Predictions:
        """Tokens int64 [B, L, N, K], actions [B, L, N, ...] and where an episode ends, bool [B, L]."""
        with self.arithmetic():
            embedded = self.embedded(ids, action)
            hidden = self.transformer(embedded, self.allowed(cut))
            return self.predictions(hidden.unflatten(1, (-1, self.block)), segments=ids.shape[0])

    def arithmetic(self) -> torch.autocast:
        """The precision of matrix products that the settings say, within this context."""
        half = self.settings.precision == "bfloat16"
        return torch.autocast(self.token_table.weight.device.type, torch.bfloat16, enabled=half)

    def next_logits(self, hidden: Tensor) -> Tensor:
        """Of the token that comes next, [..., C], in the precision of the weights."""
        logits: Tensor = self.next_token(hidden)
        return logits.to(self.token_table.weight.dtype)

    def embedded(self, ids: Tensor, action: Tensor) -> Tensor:
        """Sequences [R, S, W] of tokens int64 [B, L, N, K] and actions [B, L, N, ...], without their positions."""
        tokens, actions = self.token_table(ids), self.action_rows(action)  # [B, L, N, K, W] and [B, L, N, P, W]
        parts = [self._by_sequence(tokens), self._by_sequence(actions)]
        if self.perceiver is not None:
            both = torch.cat([tokens, actions], dim=3).flatten(0, 1)
            aggregate = self.perceiver(both).unflatten(0, ids.shape[:2])  # [B, L, N, W]
            parts.append(self._by_sequence(aggregate.unsqueeze(3)))
        return torch.cat(parts, dim=2).flatten(1, 2)  # [R, L, block, W] -> [R, S, W]

    def action_rows(self, action: Tensor) -> Tensor:
        """Embedded actions [..., P, W] for actions [..., *shape]."""
        tokens = action_tokens(action, self.actions, bins=self.settings.action_bins)
        rows: Tensor = self.action_table(tokens + self.action_offsets)
        return rows

    def allowed(self, cut: Tensor) -> Tensor | None:
        """Which position of a sequence may read which, bool [R, S, S] for episodes that end at `cut` [B, L].

        None where no episode ends before a segment does, unless this is compiled: what came before, and the position
        itself.
        """
        inner = cut[:, :-1]
        # Compiled, nothing hangs on numbers, of which an accelerator would have to be asked.
        if not torch.compiler.is_compiling() and not inner.any():
            return None
        episode = torch.cat([torch.zeros_like(inner[:, :1]), inner], dim=1).cumsum(1)
        episode = episode.repeat_interleave(self.block, dim=1)  # [B, S]
        same = episode.unsqueeze(2) == episode.unsqueeze(1)
        return same.tril_().repeat_interleave(self.agents // self.members, dim=0)

    def predictions(self, blocks: Tensor, *, segments: int) -> Predictions:
        """What hidden blocks [R, L, block, W] of a number of segments tell."""
        last = blocks[:, :, -1]
        predicting = torch.cat([blocks[:, :, : self.observed - 1], last.unsqueeze(2)], dim=2)
        by_team = (segments, -1)
        return Predictions(
            observation=self.next_logits(predicting.flatten(1, 2)).unflatten(0, by_team),
            reward=self._by_agent(self.reward(last), segments),
            continuation=self._by_agent(self.continuation(last), segments).squeeze(-1),
            available=None if self.available is None else self.available_logits(last, segments),
        )

    def available_logits(self, last: Tensor, segments: int) -> Tensor:
        """[B, L, N, A] or [B, L, N, A, 2], of the last positions [R, L, W] of blocks."""
        assert self.available is not None
        logits = self._by_agent(self.available(last), segments)
        return _pairs(logits) if self.settings.available == "pairs" else logits

    def outcome(self, last: Tensor, *, segments: int) -> Outcome:
        """What the last positions [R, W] of a block of each of a number of sequences promise."""
        step = last.unsqueeze(1)
        reward = self.rewards(self._by_agent(self.reward(step), segments).squeeze(1))
        available = None
        if self.available is not None:
            logits = self.available_logits(step, segments).squeeze(1)
            pairs = self.settings.available == "pairs"
            available = torch.softmax(logits, dim=-1)[..., 1] if pairs else torch.sigmoid(logits)
        continuation = torch.sigmoid(self._by_agent(self.continuation(step), segments).squeeze(1).squeeze(-1))
        return Outcome(reward=reward, continuation=continuation, available=available)

    def rewards(self, predicted: Tensor) -> Tensor:
        """[...] of what the reward head says, [..., 1] or logits of the bins."""
        if self.reward_bins is None:
            return predicted.squeeze(-1)
        decoded: Tensor = self.reward_bins.decode(torch.softmax(predicted, dim=-1))
        return decoded

    def _by_sequence(self, rows: Tensor) -> Tensor:
        """Agents' rows [B, L, N, X, W] as those of their sequences, [R, L, m * X, W]."""
        steps = rows.shape[1]
        parts: Tensor = rows.unflatten(2, (-1, self.members)).transpose(1, 2)  # [B, n, L, m, X, W]
        return parts.reshape(-1, steps, self.members * rows.shape[3], rows.shape[4])

    def _by_agent(self, rows: Tensor, segments: int) -> Tensor:
        """Sequences' rows [R, L, m * X] as those of their agents, [B, L, N, X], in the precision of the weights."""
        parts: Tensor = (
            rows.to(self.token_table.weight.dtype).unflatten(0, (segments, -1)).unflatten(-1, (self.members, -1))
        )  # [B, n, L, m, X]
        return parts.transpose(1, 2).flatten(2, 3)

    def _initialise(self, *, published: bool) -> None:
        embeddings = [self.token_table.weight, self.action_table.weight, self.transformer.positions]
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=PUBLISHED_DEVIATION if published else module.in_features**-0.5)
                nn.init.zeros_(module.bias)
        for table in embeddings:
            nn.init.normal_(table, std=PUBLISHED_DEVIATION if published else EMBEDDING_DEVIATION)

    def decay_groups(self, weight_decay: float) -> list[dict[str, object]]:
        """Parameters for an optimiser: matrices of linear layers decay, all else does not."""
        matrices = {id(module.weight) for module in self.modules() if isinstance(module, nn.Linear)}
        parameters = list(self.parameters())
        return [
            {"params": [each for each in parameters if id(each) in matrices], "weight_decay": weight_decay},
            {"params": [each for each in parameters if id(each) not in matrices], "weight_decay": 0.0},
        ]


def _pairs(logits: Tensor) -> Tensor:
    pairs: Tensor = logits.unflatten(-1, (-1, 2))
    return pairs
