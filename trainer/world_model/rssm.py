"""Recurrent state-space model with discrete latents, one per agent (MAMBA §3.1; DreamerV2).

Axis legend: M joint rows, N agents, K categoricals, C classes, G recurrent size, E embedding size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.nets.communication import CommunicationBlock
from trainer.nets.latent import LatentLinear
from trainer.nets.perceptron import linear_layer, perceptron
from trainer.nets.settings import LatentSettings
from trainer.policy.distributions import ActionDistribution
from trainer.world_model.message_predictor import DrawIds, MessagePredictor


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What of the settings an RSSM goes by once it is made; how it is learned is no part of what it computes."""

    recurrent: int
    categoricals: int
    classes: int
    uniform_mix: float


class TeamRSSM(nn.Module, ABC):
    """What a world model asks of the transitions of a team, whether agents share parameters or not."""

    sizes: Sizes
    actions: ActionDistribution

    @abstractmethod
    def tokens(
        self,
        ids: Tensor,
        action: Tensor,
        keep: Tensor,
        keep_action: Tensor | None = None,
        probabilities: Tensor | None = None,
        said: Tensor | None = None,
    ) -> Tensor:
        """Message tokens of ids [..., N, K] and actions, to be read by `communicate`.

        `keep` [..., N, 1] is 0 where the message counts as the zero vector (first step) and 1 elsewhere;
        `keep_action` is the same for the action alone, if it differs.  `said` [..., N, K] is 1 for ids that are said;
        None: for all but those that are no class (`saying.unsaid`).
        """

    @abstractmethod
    def as_read(self, tokens: Tensor) -> Tensor:
        """What `tokens` gives, by reader: [M, N, N, H], readers first."""

    @abstractmethod
    def held_tokens(self, ids: Tensor, action: Tensor, keep: Tensor) -> Tensor:
        """Tokens [M, N, N, H] of ids [M, N, N, K] and actions [M, N, N, ...] that each agent (first N) holds of each.

        `keep` [M, N, 1] is 0 for readers to whom everyone's message counts as the zero vector.
        """

    @property
    def filling_noise(self) -> int:
        """Uniform numbers that a reader takes at a step for messages that it predicts."""
        return 0

    def predicted_logits(self, ids: Tensor, action: Tensor, age: Tensor, sender: Tensor, deter: Tensor) -> Tensor:
        """Of what one sender said last to each reader [..., N, K, C], see `MessagePredictor.logits`."""
        raise NotImplementedError

    # Seven parameters: what was heard, what is held in its place, and what draws from a prediction of it.
    def with_predicted(
        self, tokens: Tensor, ids: Tensor, action: Tensor, age: Tensor, deter: Tensor, draw_ids: DrawIds
    ) -> Tensor:
        """Tokens [M, N, N, H] with those of predicted messages where what is held (ids [M, N, N, K], actions, `age` int
        [M, N, N]) is older than it should be, if this predicts any; `deter` [M, N, G] is that before reading."""
        return tokens

    @abstractmethod
    def communicate(self, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """Rows [M, N, H] that enter the GRUs; `hears` bool [M, N, N], None on a complete graph.

        Tokens are as `tokens` gives them, or [M, N, N, H] by reader, and then `hears` is needed.
        """

    @abstractmethod
    def recur(self, rows: Tensor, deter: Tensor) -> Tensor:
        """GRU step: rows [M, N, H], deter [M, N, G] -> [M, N, G]."""

    @abstractmethod
    def prior_logits(self, deter: Tensor) -> Tensor:
        """[..., N, G] -> [..., N, K, C]."""

    @abstractmethod
    def posterior_inputs(self, embedding: Tensor) -> Tensor:
        """The embedding's share of the posterior's first layer: [..., N, E] -> [..., N, H]."""

    @abstractmethod
    def posterior_logits(self, deter: Tensor, posterior_inputs: Tensor) -> Tensor:
        """[..., N, G], [..., N, H] -> [..., N, K, C]."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities [..., K, C]."""


class RSSM(TeamRSSM):
    """Transition h_t = GRU(comm(z_{t-1}, a_{t-1}), h_{t-1}), prior p(z_t | h_t) and posterior q(z_t | h_t, o_t).

    Without a communication block every agent's token goes straight into its own GRU.
    """

    def __init__(
        self,
        settings: LatentSettings,
        *,
        actions: ActionDistribution,
        embedding: int,
        communication: CommunicationBlock | None,
        predictor: MessagePredictor | None = None,
        partial: bool = False,
    ) -> None:
        """`predictor` is of messages that are not there; None: they are not predicted.  `partial`: messages may leave
        ids unsaid."""
        super().__init__()
        self.actions, self.partial = actions, partial
        self.sizes = Sizes(
            recurrent=settings.recurrent,
            categoricals=settings.categoricals,
            classes=settings.classes,
            uniform_mix=settings.uniform_mix,
        )
        hidden, recurrent = settings.hidden, settings.recurrent
        width = settings.categoricals * settings.classes
        self.token = LatentLinear(
            categoricals=settings.categoricals, classes=settings.classes, dense=self.action_features(), out=hidden
        )
        self.communication = communication
        self.predictor = predictor
        self.cell = nn.GRUCell(hidden, recurrent)
        nn.init.xavier_uniform_(self.cell.weight_ih)
        nn.init.xavier_uniform_(self.cell.weight_hh)
        self.prior_head = perceptron([recurrent, hidden, width], nn.ReLU)
        self.posterior_head = perceptron([recurrent + embedding, hidden, width], nn.ReLU)
        with torch.no_grad():
            linear_layer(self.posterior_head, -1).weight.mul_(settings.posterior_scale)

    def tokens(
        self,
        ids: Tensor,
        action: Tensor,
        keep: Tensor,
        keep_action: Tensor | None = None,
        probabilities: Tensor | None = None,
        said: Tensor | None = None,
    ) -> Tensor:
        """Message tokens [..., H] of ids [..., K] and actions.

        `keep` [..., 1] is 0 where the message counts as the zero vector (first step) and 1 elsewhere;
        `keep_action` is the same for the action alone, if it differs.  `said` is as `TeamRSSM` has it.
        """
        dense = self.token.dense(self.read(action).to(keep.dtype) * (keep if keep_action is None else keep_action))
        if said is None and self.partial:
            said, ids = (ids < self.sizes.classes).to(dense.dtype), ids.clamp(max=self.sizes.classes - 1)
        return torch.relu(self.token.gather(ids, probabilities, said) * keep + dense)

    def as_read(self, tokens: Tensor) -> Tensor:
        """[M, N, H] -> [M, N, N, H]: everyone reads alike."""
        return tokens.unsqueeze(1).expand(-1, tokens.shape[1], -1, -1)

    def held_tokens(self, ids: Tensor, action: Tensor, keep: Tensor) -> Tensor:
        """Tokens [M, N, N, H] of ids [M, N, N, K] and actions [M, N, N, ...] that each agent holds of each."""
        return self.tokens(ids, action, keep.unsqueeze(-2))

    @property
    def filling_noise(self) -> int:
        if self.predictor is None or self.predictor.filling != "sample":
            return 0
        return self.predictor.sender.num_embeddings * self.sizes.categoricals

    def predicted_logits(self, ids: Tensor, action: Tensor, age: Tensor, sender: Tensor, deter: Tensor) -> Tensor:
        """See TeamRSSM; of any readers [...]."""
        assert self.predictor is not None
        return self.predictor.logits(ids, self.read(action).to(deter.dtype), age, sender, deter)

    def with_predicted(
        self, tokens: Tensor, ids: Tensor, action: Tensor, age: Tensor, deter: Tensor, draw_ids: DrawIds
    ) -> Tensor:
        """See TeamRSSM; `tokens` are [..., N, H] of any readers [...], deter [..., G]."""
        if self.predictor is None:
            return tokens
        acted = self.read(action).to(deter.dtype)
        probabilities = self.predictor.predicted(ids, acted, age, deter)
        if self.predictor.filling == "mean":
            rows = probabilities.flatten(-2) @ self.token.table
        else:
            mode = self.predictor.filling == "mode"
            rows = self.token.gather(probabilities.argmax(-1) if mode else draw_ids(probabilities))
        filled = torch.relu(rows + self.token.dense(acted) + self.predictor.age_code(age))
        return torch.where((age > 0).unsqueeze(-1), filled, tokens)

    def communicate(self, tokens: Tensor, hears: Tensor | None) -> Tensor:
        """Rows [M, N, H] that enter the GRUs; `hears` [M, N, N], None on a complete graph."""
        if self.communication is None:
            return tokens
        rows: Tensor = self.communication(tokens, hears)
        return rows

    def recur(self, rows: Tensor, deter: Tensor) -> Tensor:
        """GRU step: rows [M, N, H], deter [M, N, G] -> [M, N, G]."""
        following: Tensor = self.cell(rows.flatten(0, -2), deter.flatten(0, -2)).unflatten(0, deter.shape[:-1])
        return following

    def prior_logits(self, deter: Tensor, inputs: Tensor | None = None) -> Tensor:
        """[..., G] -> [..., K, C]; `inputs` [..., H] is the share of something else in the first layer."""
        first, activation, second = self.prior_head
        hidden = first(deter)
        return self._grouped(second(activation(hidden if inputs is None else hidden + inputs)))

    def posterior_inputs(self, embedding: Tensor) -> Tensor:
        """The embedding's share of the posterior's first layer [..., H]; all steps of a window in one product."""
        first = linear_layer(self.posterior_head, 0)
        return functional.linear(embedding, first.weight[:, self.sizes.recurrent :], first.bias)

    def posterior_logits(self, deter: Tensor, posterior_inputs: Tensor) -> Tensor:
        """[..., G], [..., H] -> [..., K, C]."""
        first, (_, activation, second) = linear_layer(self.posterior_head, 0), self.posterior_head
        hidden = functional.linear(deter, first.weight[:, : self.sizes.recurrent]) + posterior_inputs
        return self._grouped(second(activation(hidden)))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Class probabilities [..., K, C], mixed with the uniform distribution as the settings say."""
        probabilities = torch.softmax(logits, dim=-1)
        mix = self.sizes.uniform_mix
        return probabilities if mix == 0 else (1 - mix) * probabilities + mix / self.sizes.classes

    def read(self, action: Tensor) -> Tensor:
        """What a token says of actions, [..., `action_features()`]."""
        return self.actions.read(action)

    def action_features(self) -> int:
        """Numbers that a token takes in of an action."""
        return self.actions.features

    def _grouped(self, logits: Tensor) -> Tensor:
        grouped: Tensor = logits.unflatten(-1, (self.sizes.categoricals, self.sizes.classes))
        return grouped
