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
from trainer.algorithms.dreamer.agent_steps import AgentStep, PredictingStep, SilentStep, SparingStep
from trainer.algorithms.step_function import StepFunction, silent_step, talking_step
from trainer.policy.draws import Draws
from trainer.world_model.own_rssms import own_rssm
from trainer.world_model.posteriors import ActingModel, shown
from trainer.world_model.received import Received
from trainer.world_model.saying import drawn, everyone, with_own


@dataclass(frozen=True, kw_only=True)
class TeamState:
    """What a team carries from step to step."""

    ids: Tensor
    """int64 [E, N, K]: the latents of the step before, which are the messages."""
    action: Tensor
    """[E, N, ...]: the actions executed then."""
    deter: Tensor
    """[E, N, G]: private to each agent."""
    said: Tensor | None = None
    """int64 [E, N, K]: the ids as they were sent, `classes` where one was not said; None: all were."""

    @property
    def told(self) -> Tensor:
        """The ids as they were sent."""
        return self.ids if self.said is None else self.said


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
    nothing = torch.zeros(copies, agents, settings.categoricals, dtype=torch.int64, device=like.device)
    return TeamState(
        ids=nothing,
        action=torch.zeros(copies, agents, *actions.shape, dtype=actions.dtype, device=like.device),
        deter=torch.zeros(copies, agents, settings.recurrent, device=like.device, dtype=like.dtype),
        said=None if model.saying is None else nothing,
    )


def noise_size(model: ActingModel) -> int:
    """Uniform numbers that an agent takes at each step."""
    said = model.saying is not None
    return model.settings.categoricals + said + model.rssm.filling_noise + model.actions.noise


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
        if state.said is not None:
            tokens = with_own(rssm, tokens, rssm.tokens(state.said, state.action, keep, keep))
            hears = everyone(tokens) if hears is None else hears
    else:
        tokens = rssm.held_tokens(received.ids, received.action, keep)
        if received.age is not None:
            tokens = rssm.with_predicted(
                tokens, received.ids, received.action, received.age, state.deter * keep, draws.missing
            )
    deter = rssm.recur(rssm.communicate(tokens, hears), state.deter * keep)
    posterior = rssm.posterior_logits(deter, rssm.posterior_inputs(model.encoder(observation)))
    ids = draws.latent(rssm.probabilities(posterior))
    logits = model.actions.masked(actor(*shown(model, ids, deter, observation)), action_mask)
    action = draws.action(logits, model.actions)
    said = None if model.saying is None else drawn(model.saying, ids, deter, draws, classes=rssm.sizes.classes)
    return TeamDecision(state=TeamState(ids=ids, action=action, deter=deter, said=said), logits=logits)


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


def messages(model: ActingModel) -> MessageFormat | None:
    """Its latents, as they are sent; None if nobody is read."""
    if is_silent(model):
        return None
    sizes = model.settings
    if model.saying is None:
        return MessageFormat(categoricals=sizes.categoricals, classes=sizes.classes)
    return MessageFormat(categoricals=sizes.categoricals, classes=sizes.classes + 1, prefix=True)


def is_silent(model: ActingModel) -> bool:
    """Whether nobody reads what its agents say, so that they need not say it."""
    communication = own_rssm(model.rssm, 0).communication
    return communication is None or communication.reach == "none"


def agent_step(model: ActingModel, actor: nn.Module, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    """What agent `slot` runs on its own."""
    state: tuple[StateTensor, ...] = (StateTensor(name="deter", shape=(model.settings.recurrent,)),)
    message = messages(model)
    # Copies on the CPU, where nodes run; training may go on elsewhere with the originals.
    model_here, actor_here = deepcopy(model).cpu(), deepcopy(actor).cpu()
    if message is None:
        silent = SilentStep(model_here, actor_here, slot=slot)
        return silent_step(silent, spec, state=state, noise_size=noise_size(model))
    predictor = own_rssm(model_here.rssm, slot).predictor
    of_messages = AgentStep if predictor is None else PredictingStep
    if model.saying is not None:
        of_messages = SparingStep
        state = (*state, StateTensor(name="own", shape=(model.settings.categoricals,)))
    return talking_step(
        of_messages(model_here, actor_here, slot=slot),
        spec,
        model.actions,
        message=message,
        state=state,
        noise_size=noise_size(model),
        predicts=None if predictor is None else predictor.filling,
    )
