"""Attention-PPO's actor: MAMBA's way of acting without its world model.

Axis legend: E copies, N agents, P outputs of an actor, K categoricals, C classes, G recurrent size; L rows of a
sequence, Q sequences; T time, B windows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.dreamer.execution import TeamState, initial_state, noise_size, team_step
from trainer.algorithms.model_free.agent_network import AgentNetwork
from trainer.algorithms.model_free.carried import CARRIED, packed, unpacked
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import TalkingSettings
from trainer.experience.window import Window
from trainer.nets.communication import CommunicationBlock
from trainer.nets.observations import observation_encoder
from trainer.policy.actor_critic import make_actor
from trainer.policy.distributions import action_distribution
from trainer.policy.draws import Draws
from trainer.world_model.posteriors import ActingModel, unroll
from trainer.world_model.rssm import RSSM


class TalkingPolicy(ActingModel, AgentNetwork):
    """h_t from the messages (z_{t-1}, a_{t-1}) heard, z_t from h_t and o_t, an action from both.

    What an agent says is learned from what the others then do: the gradient of everyone's surrogate goes back along a
    sequence, through the messages that were received, into the latents that were sent.  Those are the latents that
    were drawn while acting; a straight-through gradient stands for what their choice would change, so their own
    probabilities take no part in PPO's ratio.
    """

    def __init__(self, settings: TalkingSettings, spec: EnvironmentSpec) -> None:
        super().__init__()
        self.settings, self.agents = settings, spec.agents
        self.actions = action_distribution(spec)
        hidden = settings.hidden
        self.encoder = observation_encoder(
            spec.observation_size, [hidden] * 4, image=spec.image, channels=settings.image_channels
        )
        self.rssm = RSSM(
            settings,
            actions=self.actions,
            embedding=hidden,
            communication=CommunicationBlock(
                agents=spec.agents,
                width=hidden,
                layers=settings.communication_layers,
                heads=settings.heads,
                dropout=0.0,
                position_scale=settings.position_scale,
                reach=settings.communication,
            ),
        )
        self.saying = None
        del self.rssm.prior_head  # nothing is imagined
        self.actor = make_actor(settings, outputs=self.actions.outputs)

    def initial_state(self, copies: int) -> TeamState:
        return initial_state(self, copies=copies, agents=self.agents)

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
            self,
            self.actor,
            state,
            observation=observation,
            action_mask=action_mask,
            hears=hears,
            first=first,
            draws=draws,
        )
        return decision.action, decision.state

    def columns(self, state: TeamState) -> dict[str, Tensor]:
        return {CARRIED: packed(state)}

    @property
    def noise_size(self) -> int:
        return noise_size(self)

    def outputs(self, sequences: Sequences) -> Tensor:
        """See AgentNetwork."""
        rssm = self.rssm
        like = self.initial_state(1)
        received, sent = unpacked(like, sequences.carried_in), unpacked(like, sequences.carried_out).ids
        inputs = rssm.posterior_inputs(self.encoder(sequences.observation))
        keep = (~sequences.first).to(inputs.dtype)[..., None, None].expand(-1, -1, self.agents, -1)
        deter, probabilities = received.deter[0], None
        all_deter, all_probabilities = [], []
        for row, begins in enumerate(sequences.begins[..., None, None]):
            if probabilities is not None:
                probabilities = torch.where(begins.unsqueeze(-1), probabilities.detach(), probabilities)
            tokens = rssm.tokens(received.ids[row], received.action[row], keep[row], probabilities=probabilities)
            rows = rssm.communicate(tokens, None if sequences.hears is None else sequences.hears[row])
            deter = rssm.recur(rows, torch.where(begins, received.deter[row], deter) * keep[row])
            probabilities = rssm.probabilities(rssm.posterior_logits(deter, inputs[row]))
            all_deter.append(deter)
            all_probabilities.append(probabilities)
        outputs = self.actor(sent, torch.stack(all_deter), torch.stack(all_probabilities))
        return self.actions.masked(outputs, sequences.action_mask)

    def latents(self, window: Window, draws: Draws) -> Tensor:
        """What the agents would say along a window, int64 [T, B, N, K]."""
        inputs = self.rssm.posterior_inputs(self.encoder(window.observation))
        return unroll(
            self.rssm,
            inputs,
            window.action,
            window.first,
            draw_ids=draws.latent,
            hears=window.hears,
            reset_action_on_first=True,
        ).ids
