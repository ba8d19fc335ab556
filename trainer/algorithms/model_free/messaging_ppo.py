"""What CommNet and TarMAC share: MAPPO whose agents hear one another.

Axis legend: L rows of a sequence, Q sequences, N agents, T time, B windows, K categoricals.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from heliograph.codecs.message_format import MessageFormat
from heliograph.environments.vector import EnvironmentSpec
from heliograph.sending import Sending
from trainer.algorithms.model_free.agent_network import AgentNetwork, Decisions
from trainer.algorithms.model_free.carried import unpacked
from trainer.algorithms.model_free.critics import CentralCritic
from trainer.algorithms.model_free.messaging_policy import MessagingPolicy
from trainer.algorithms.model_free.messaging_step import messages, messaging_step
from trainer.algorithms.model_free.on_policy import OnPolicy
from trainer.algorithms.model_free.reading import Reading
from trainer.algorithms.model_free.sequences import Sequences
from trainer.algorithms.model_free.settings import MessagingSettings
from trainer.algorithms.step_function import StepFunction
from trainer.experience.columns import Column, state_column
from trainer.experience.window import Window
from trainer.policy.draws import Draws


class MessagingPpo(OnPolicy):
    """Most of a `MessagingAlgorithm`."""

    network: MessagingPolicy
    settings: MessagingSettings

    def __init__(self, settings: MessagingSettings, spec: EnvironmentSpec, *, device: torch.device) -> None:
        self.settings = settings
        super().__init__(
            settings.ppo,
            spec,
            network=MessagingPolicy(settings, spec, reading=self.reading(settings, spec)),
            critic=CentralCritic(spec, hidden=settings.hidden, image_channels=settings.image_channels),
            device=device,
        )

    @abstractmethod
    def reading(self, settings: MessagingSettings, spec: EnvironmentSpec) -> Reading:
        """What its agents make of messages."""

    def columns(self) -> dict[str, Column]:
        return super().columns() | state_column(self.spec)

    def decisions(self, sequences: Sequences, network: AgentNetwork | None = None) -> Decisions:
        """With a gate, of both: what to do, and whether to speak."""
        assert network is None or network is self.network
        along = self.network.along(sequences)
        done = self.actions.log_probability(along.outputs, sequences.action)
        entropy = self.actions.entropy(along.outputs)
        if along.speaks is not None:
            ids = unpacked(self.network.initial_state(1), sequences.carried_out).ids
            gate = torch.distributions.Bernoulli(probs=along.speaks)
            done, entropy = done + gate.log_prob(self.network.sent(ids).squeeze(-1)), entropy + gate.entropy()
        return Decisions(log_probability=done, entropy=entropy, auxiliary=self._state_loss(along.deter, sequences))

    def _state_loss(self, deter: Tensor, sequences: Sequences) -> Tensor | None:
        """What recurrent states [L, Q, N, G] do not tell of the whole, weighted; None where nobody is to tell it.

        Whoever is to tell it has to be told, so messages and how they are read are learned from every step, and not
        only from the rewards that they decide.
        """
        if self.network.telling is None:
            return None
        whole = sequences.observation.flatten(-2) if sequences.state is None else sequences.state
        error = (self.network.telling(deter) - whole.unsqueeze(-2)).square().sum(-1)
        loss: Tensor = self.settings.state_scale * error[sequences.counts].mean()
        return loss

    @property
    def message(self) -> MessageFormat:
        return messages(self.network)

    @torch.no_grad()
    def latents(self, window: Window, draws: Draws) -> Tensor:
        return self.network.latents(window.to(self.device), draws)

    def step_function(self, slot: int) -> StepFunction:
        step = messaging_step(self.network, self.spec, slot=slot)
        if not self.settings.gate or not self.spec.complete_graph or self.spec.episode_limit < 2:
            return step
        # A message like the one before is withheld, so an agent that goes on to say nothing sends nothing.
        return replace(step, sending=Sending(heartbeat=self.spec.episode_limit, changes=0))
