"""The step functions of single agents, as they are exported: see `docs/bundle.md` for their inputs and outputs.

Axis legend: N agents, D observation, A entries of an action mask, P outputs of an actor, K categoricals,
G recurrent size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trainer.nets.agentwise import own
from trainer.nets.latent import sample_ids
from trainer.world_model.own_rssms import own_rssm
from trainer.world_model.posteriors import ActingModel, shown
from trainer.world_model.rssm import RSSM
from trainer.world_model.saying import are_sent, chances, unsaid


class AgentStep(nn.Module):
    """The step function of one slot, as it is exported: see `docs/bundle.md` for its inputs and outputs."""

    def __init__(self, model: ActingModel, actor: nn.Module, *, slot: int) -> None:
        super().__init__()
        self.register_buffer("slot", torch.tensor([slot]))
        self.slot: Tensor
        self.encoder, self.rssm, self.actor = own(model.encoder, slot), own_rssm(model.rssm, slot), own(actor, slot)
        self.shows_observations = model.shows_observations

    # Nine parameters: the inputs of a bundle's graph, in their order (docs/bundle.md).
    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor,
        inbox_latent: Tensor,
        inbox_action: Tensor,
        inbox_present: Tensor,
        first: Tensor,
        greedy: Tensor,
        deter: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latent int32 [K], action (int32 [] or float [k]), logits [P] and the next recurrent state [G]."""
        keep = torch.where(first, 0.0, 1.0).to(deter.dtype)
        tokens = self.heard(inbox_latent, inbox_action, keep)
        return self.act(
            tokens, inbox_present, deter * keep, observation, action_mask=action_mask, greedy=greedy, noise=noise
        )

    def heard(self, inbox_latent: Tensor, inbox_action: Tensor, keep: Tensor) -> Tensor:
        """Tokens [N, H] of the messages as they are."""
        action = inbox_action.to(self.rssm.actions.dtype)
        return self.rssm.tokens(inbox_latent.long(), action, keep.expand(inbox_action.shape[0], 1))

    # Seven parameters: what is read, and what a decision takes.
    def act(
        self,
        tokens: Tensor,
        inbox_present: Tensor,
        deter: Tensor,
        observation: Tensor,
        *,
        action_mask: Tensor,
        greedy: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `forward` returns, by tokens [N, H] and the recurrent state [G] before them."""
        rssm = self.rssm
        assert rssm.communication is not None
        row = rssm.communication.own_row(tokens.unsqueeze(0), inbox_present.unsqueeze(0), self.slot)  # [1, H]
        deter = rssm.cell(row, deter.unsqueeze(0))  # [1, G]
        ids, action, logits = _decide(
            self, deter, observation=observation, action_mask=action_mask, greedy=greedy, noise=noise
        )
        return ids.int(), action.to(rssm.actions.executed_dtype), logits, deter.squeeze(0)


class PredictingStep(AgentStep):
    """One that predicts messages that are not there from older ones, whose ages it is told."""

    # Ten parameters: the inputs of a bundle's graph, in their order (docs/bundle.md).
    def forward(  # type: ignore[override]  # one input more
        self,
        observation: Tensor,
        action_mask: Tensor,
        inbox_latent: Tensor,
        inbox_action: Tensor,
        inbox_present: Tensor,
        inbox_age: Tensor,
        first: Tensor,
        greedy: Tensor,
        deter: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As that of `AgentStep`."""
        keep = torch.where(first, 0.0, 1.0).to(deter.dtype)
        senders, categoricals = inbox_latent.shape

        def draw_ids(probabilities: Tensor) -> Tensor:
            numbers = noise[categoricals : (1 + senders) * categoricals].reshape(senders, categoricals)
            return torch.where(greedy, probabilities.argmax(-1), sample_ids(probabilities, numbers))

        tokens = self.rssm.with_predicted(
            self.heard(inbox_latent, inbox_action, keep).unsqueeze(0),
            inbox_latent.long().unsqueeze(0),
            inbox_action.to(self.rssm.actions.dtype).unsqueeze(0),
            inbox_age.unsqueeze(0),
            (deter * keep).unsqueeze(0),
            draw_ids,
        ).squeeze(0)
        return self.act(
            tokens, inbox_present, deter * keep, observation, action_mask=action_mask, greedy=greedy, noise=noise
        )


class SparingStep(AgentStep):
    """The same of an agent that says only as many first ids as it chooses to; what it goes on by itself, its whole
    latent, it keeps as state of its own."""

    def __init__(self, model: ActingModel, actor: nn.Module, *, slot: int) -> None:
        super().__init__(model, actor, slot=slot)
        assert model.saying is not None
        self.saying = own(model.saying, slot)

    # Ten parameters: the inputs of a bundle's graph, in their order.
    def forward(  # type: ignore[override]  # one input and one output more
        self,
        observation: Tensor,
        action_mask: Tensor,
        inbox_latent: Tensor,
        inbox_action: Tensor,
        inbox_present: Tensor,
        first: Tensor,
        greedy: Tensor,
        deter: Tensor,
        whole: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """As above; `whole` [K] is the own latent of the step before, and that of this one is returned last."""
        sizes = self.rssm.sizes
        mine = torch.arange(inbox_latent.shape[0]).unsqueeze(-1) == self.slot  # [N, 1]
        ids, action, logits, deter = super().forward(
            observation,
            action_mask,
            torch.where(mine, whole.int().unsqueeze(0), inbox_latent),
            inbox_action,
            inbox_present,
            first,
            greedy,
            deter,
            torch.cat([noise[: sizes.categoricals], noise[sizes.categoricals + 1 :]]),
        )
        numbers = chances(self.saying, ids.long().unsqueeze(0), deter.unsqueeze(0)).squeeze(0)  # [K + 1]
        count = torch.where(greedy, numbers.argmax(-1), sample_ids(numbers, noise[sizes.categoricals]))
        latent = unsaid(ids, are_sent(count, sizes.categoricals), classes=sizes.classes)
        return latent.int(), action, logits, deter, ids.to(deter.dtype)


class SilentStep(nn.Module):
    """The step function of an agent that neither says nor hears anything.

    Its own latent and action are all that the recurrent state waits for, so the state that it hands on is that of the
    step to come, which no message can change.
    """

    def __init__(self, model: ActingModel, actor: nn.Module, *, slot: int = 0) -> None:
        super().__init__()
        self.rssm: RSSM = own_rssm(model.rssm, slot)
        self.encoder, self.actor = own(model.encoder, slot), own(actor, slot)
        self.shows_observations = model.shows_observations
        self.register_buffer("slot", None if self.rssm.communication is None else torch.tensor([slot]))
        self.slot: Tensor | None
        sizes, like = model.settings, self.rssm.token.table
        nothing = torch.zeros(1, sizes.categoricals, dtype=torch.int64, device=like.device)
        with torch.no_grad():
            idle = torch.zeros(1, *self.rssm.actions.shape, dtype=self.rssm.actions.dtype, device=like.device)
            token = self.rssm.tokens(nothing, idle, like.new_zeros(1, 1))
            begun = self.rssm.cell(self._row(token), like.new_zeros(1, sizes.recurrent))
        self.register_buffer("begun", begun)  # [1, G], of every episode's first step
        self.begun: Tensor

    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor,
        first: Tensor,
        greedy: Tensor,
        deter: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Action (int32 [] or float [k]), logits [P] and the recurrent state [G] of the next step."""
        deter = torch.where(first, self.begun, deter.unsqueeze(0))  # [1, G]
        ids, action, logits = _decide(
            self, deter, observation=observation, action_mask=action_mask, greedy=greedy, noise=noise
        )
        token = self.rssm.tokens(ids.unsqueeze(0), action.unsqueeze(0), deter.new_ones(1, 1))
        following = self.rssm.cell(self._row(token), deter)
        return action.to(self.rssm.actions.executed_dtype), logits, following.squeeze(0)

    def _row(self, token: Tensor) -> Tensor:
        """What enters the GRU of the own token [1, H]."""
        block = self.rssm.communication
        return token if block is None else block.alone(token.unsqueeze(1), self.slot).squeeze(1)


def _decide(
    agent: AgentStep | SilentStep,
    deter: Tensor,
    *,
    observation: Tensor,
    action_mask: Tensor,
    greedy: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Latent [K], action and logits [P] in the recurrent state [1, G]."""
    rssm, actions = agent.rssm, agent.rssm.actions
    embedding = rssm.posterior_inputs(agent.encoder(observation.unsqueeze(0)))
    posterior = rssm.probabilities(rssm.posterior_logits(deter, embedding)).squeeze(0)  # [K, C]
    ids = torch.where(greedy, posterior.argmax(-1), sample_ids(posterior, noise[: posterior.shape[0]]))
    features = shown(agent, ids.unsqueeze(0), deter, observation.unsqueeze(0))
    logits = actions.masked(agent.actor(*features).squeeze(0), action_mask)
    action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise[-actions.noise :]))
    return ids, action, logits
