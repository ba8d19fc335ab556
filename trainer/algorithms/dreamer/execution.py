"""Acting with a world model: one environment step of a team, and of a single agent as it is exported.

Axis legend: E copies of the environment, N agents, D observation, A entries of an action mask,
P outputs of an actor, K categoricals, G recurrent size.

Both follow the runtime's order (`docs/protocol.md`): the messages (z, a) of the step before make the recurrent
input, then the own observation gives the posterior latent, then the actor decides.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import StateTensor
from trainer.algorithms.step_function import StepFunction, silent_step, talking_step
from trainer.nets.agentwise import own
from trainer.nets.latent import sample_ids
from trainer.policy.draws import Draws
from trainer.world_model.own_rssms import own_rssm
from trainer.world_model.posteriors import ActingModel
from trainer.world_model.received import Received
from trainer.world_model.rssm import RSSM


@dataclass(frozen=True, kw_only=True)
class TeamState:
    """What a team carries from step to step."""

    ids: Tensor
    """int64 [E, N, K]: the latents of the step before, which are the messages."""
    action: Tensor
    """[E, N, ...]: the actions executed then."""
    deter: Tensor
    """[E, N, G]: private to each agent."""


@dataclass(frozen=True, kw_only=True)
class TeamDecision:
    state: TeamState
    logits: Tensor
    """[E, N, P], without what is illegal."""

    @property
    def action(self) -> Tensor:
        """[E, N, ...]."""
        return self.state.action


def initial_state(model: ActingModel, *, copies: int, agents: int) -> TeamState:
    """The state before a first step; its content does not matter, `first` makes it count as zero."""
    settings, actions, like = model.settings, model.actions, next(model.parameters())
    return TeamState(
        ids=torch.zeros(copies, agents, settings.categoricals, dtype=torch.int64, device=like.device),
        action=torch.zeros(copies, agents, *actions.shape, dtype=actions.dtype, device=like.device),
        deter=torch.zeros(copies, agents, settings.recurrent, device=like.device, dtype=like.dtype),
    )


def noise_size(model: ActingModel) -> int:
    """Uniform numbers that an agent takes at each step."""
    return model.settings.categoricals + model.rssm.filling_noise + model.actions.noise


# Nine parameters: a step of a team takes the networks, the state, and what every agent observes and holds.
@torch.no_grad()
def team_step(
    model: ActingModel,
    actor: nn.Module,
    state: TeamState,
    *,
    observation: Tensor,
    action_mask: Tensor,
    hears: Tensor | None,
    first: Tensor,
    draws: Draws,
    received: Received | None = None,
) -> TeamDecision:
    """Decide for all agents of all copies: observation [E, N, D], action_mask bool [E, N, A], hears bool [E, N, N]
    (None: everyone hears everyone), first bool [E]; `received` is what the agents hold of one another where that is not
    the newest, and `hears` is given then."""
    rssm = model.rssm
    keep = (~first).to(observation.dtype).reshape(-1, 1, 1).expand(-1, observation.shape[1], 1)
    if received is None:
        tokens = rssm.tokens(state.ids, state.action, keep, keep)
    else:
        tokens = rssm.held_tokens(received.ids, received.action, keep)
        if received.age is not None:
            tokens = rssm.with_predicted(
                tokens, received.ids, received.action, received.age, state.deter * keep, draws.missing
            )
    deter = rssm.recur(rssm.communicate(tokens, hears), state.deter * keep)
    posterior = rssm.posterior_logits(deter, rssm.posterior_inputs(model.encoder(observation)))
    ids = draws.latent(rssm.probabilities(posterior))
    logits = model.actions.masked(actor(ids, deter), action_mask)
    action = draws.action(logits, model.actions)
    return TeamDecision(state=TeamState(ids=ids, action=action, deter=deter), logits=logits)


@dataclass(frozen=True, kw_only=True)
class Team:
    """A `Policy`, and a `Behaviour` that adds nothing to it: the two networks that acting takes."""

    model: ActingModel
    actor: nn.Module
    agents: int

    @property
    def noise_size(self) -> int:
        return noise_size(self.model)

    def columns(self, _state: TeamState) -> dict[str, Tensor]:
        return {}

    def initial_state(self, copies: int) -> TeamState:
        return initial_state(self.model, copies=copies, agents=self.agents)

    def act(
        self,
        state: TeamState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, TeamState]:
        decision = team_step(
            self.model,
            self.actor,
            state,
            observation=observation,
            action_mask=action_mask,
            hears=hears,
            first=first,
            draws=draws,
        )
        return decision.action, decision.state


class AgentStep(nn.Module):
    """The step function of one slot, as it is exported: see `docs/bundle.md` for its inputs and outputs."""

    def __init__(self, model: ActingModel, actor: nn.Module, *, slot: int) -> None:
        super().__init__()
        self.register_buffer("slot", torch.tensor([slot]))
        self.slot: Tensor
        self.encoder, self.rssm, self.actor = own(model.encoder, slot), own_rssm(model.rssm, slot), own(actor, slot)

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


def messages(model: ActingModel) -> MessageFormat | None:
    """Its latents, as they are sent; None if nobody is read."""
    if is_silent(model):
        return None
    return MessageFormat(categoricals=model.settings.categoricals, classes=model.settings.classes)


def is_silent(model: ActingModel) -> bool:
    """Whether nobody reads what its agents say, so that they need not say it."""
    communication = own_rssm(model.rssm, 0).communication
    return communication is None or communication.reach == "none"


def agent_step(model: ActingModel, actor: nn.Module, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    state = (StateTensor(name="deter", shape=(model.settings.recurrent,)),)
    message = messages(model)
    # Copies on the CPU, where nodes run; training may go on elsewhere with the originals.
    model_here, actor_here = deepcopy(model).cpu(), deepcopy(actor).cpu()
    if message is None:
        silent = SilentStep(model_here, actor_here, slot=slot)
        return silent_step(silent, spec, state=state, noise_size=noise_size(model))
    predictor = own_rssm(model_here.rssm, slot).predictor
    of_messages = AgentStep if predictor is None else PredictingStep
    return talking_step(
        of_messages(model_here, actor_here, slot=slot),
        spec,
        model.actions,
        message=message,
        state=state,
        noise_size=noise_size(model),
        predicts=None if predictor is None else predictor.filling,
    )


class SilentStep(nn.Module):
    """The step function of an agent that neither says nor hears anything.

    Its own latent and action are all that the recurrent state waits for, so the state that it hands on is that of the
    step to come, which no message can change.
    """

    def __init__(self, model: ActingModel, actor: nn.Module, *, slot: int = 0) -> None:
        super().__init__()
        self.rssm: RSSM = own_rssm(model.rssm, slot)
        self.encoder, self.actor = own(model.encoder, slot), own(actor, slot)
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
    logits = actions.masked(agent.actor(ids.unsqueeze(0), deter).squeeze(0), action_mask)
    action = torch.where(greedy, actions.mode(logits), actions.sample(logits, noise[-actions.noise :]))
    return ids, action, logits
