"""MAMBA's world model: encoder, RSSM with communication, decoder and the four prediction heads (MAMBA §3.1-3.2).

Axis legend: T time, B windows, N agents, D observation, A actions, K categoricals, C classes, G recurrent size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.nets.agentwise import per_agent
from trainer.nets.communication import CommunicationBlock
from trainer.nets.perceptron import FeatureHead, perceptron
from trainer.world_model.own_rssms import OwnRSSMs
from trainer.world_model.rssm import RSSM
from trainer.world_model.settings import WorldModelSettings
from trainer.world_model.window import Window

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


class Decoder(nn.Module):
    """Observation decoder; its last hidden layer is also the input of the information head."""

    def __init__(self, settings: WorldModelSettings, *, observation_size: int) -> None:
        super().__init__()
        self.hidden = _head(settings, out=settings.hidden, activation=nn.ReLU)
        self.out = perceptron([settings.hidden, observation_size], nn.ReLU)

    def forward(self, ids: Tensor, deter: Tensor, probabilities: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction [..., D] and decoder feature [..., H]."""
        feature = torch.relu(self.hidden(ids, deter, probabilities))
        return self.out(feature), feature


class WorldModel(nn.Module):
    """The models of a team: one whose parameters all share, where the slot enters through the positional code alone, or
    one of each agent's own."""

    def __init__(
        self, settings: WorldModelSettings, *, agents: int, observation_size: int, actions: int, action_masks: bool
    ) -> None:
        super().__init__()
        self.settings = settings
        hidden = settings.hidden

        def each(make: Callable[[], nn.Module]) -> nn.Module:
            return per_agent(make, agents=agents, shared=settings.shared)

        def head(out: int) -> nn.Module:
            return each(lambda: _head(settings, out=out, activation=nn.ELU))

        def rssm() -> RSSM:
            return RSSM(
                settings,
                actions=actions,
                embedding=hidden,
                communication=CommunicationBlock(
                    agents=agents,
                    width=hidden,
                    layers=settings.communication_layers,
                    heads=settings.heads,
                    dropout=settings.dropout,
                    position_scale=settings.position_scale,
                ),
            )

        self.encoder = each(lambda: perceptron([observation_size, hidden, hidden, hidden, hidden], nn.ReLU))
        self.rssm = rssm() if settings.shared else OwnRSSMs(rssm, agents=agents)
        self.decoder = each(lambda: Decoder(settings, observation_size=observation_size))
        self.reward = head(1)
        self.continuation = head(1)
        self.available = head(actions) if action_masks else None
        self.information = each(
            lambda: nn.Sequential(
                *perceptron([hidden, hidden, hidden], nn.ELU), nn.ReLU(), *perceptron([hidden, actions], nn.ReLU)
            )
        )

    def observe(self, window: Window, draw_ids: DrawIds, *, reset_action_on_first: bool = True) -> Posteriors:
        """Run the posterior along a window from zero state; `first` rows start from zero again.

        Without `reset_action_on_first` the action before a first row still enters it (as published).
        """
        length, batch, agents, _ = window.observation.shape
        rssm = self.rssm
        inputs = rssm.posterior_inputs(self.encoder(window.observation))  # [T, B, N, H]
        keep = (~window.first).to(inputs.dtype).reshape(length, batch, 1, 1).expand(-1, -1, agents, -1)
        hears = self._audible(window)
        deter = inputs.new_zeros(batch, agents, self.settings.recurrent)
        ids = torch.zeros(batch, agents, self.settings.categoricals, dtype=torch.int64, device=inputs.device)
        probabilities = None
        all_ids, all_probabilities, all_deter = [], [], []
        for t, inputs_now in enumerate(inputs.unbind()):
            # A window that starts inside an episode has an action but no latent before its first row.
            keep_latent = keep[t] if t else torch.zeros_like(keep[t])
            keep_action = keep[t] if reset_action_on_first else torch.ones_like(keep[t])
            tokens = rssm.tokens(ids, window.action[t], keep_latent, keep_action, probabilities)
            rows = rssm.communicate(tokens, None if hears is None else hears[t])
            deter = rssm.recur(rows, deter * keep[t])
            probabilities = rssm.probabilities(rssm.posterior_logits(deter, inputs_now))
            ids = draw_ids(probabilities.detach())
            all_ids.append(ids)
            all_probabilities.append(probabilities)
            all_deter.append(deter)
        return Posteriors(
            ids=torch.stack(all_ids), probabilities=torch.stack(all_probabilities), deter=torch.stack(all_deter)
        )

    def _audible(self, window: Window) -> Tensor | None:
        """The neighbour sets that a model update uses: recorded ones, thinned by message dropout."""
        settings = self.settings
        hears = window.hears if settings.train_with_neighbours else None
        if not (settings.message_dropout and self.training):
            return hears
        shape = (*window.action.shape, window.action.shape[-1])
        arrives = torch.rand(shape, device=window.action.device) >= settings.message_dropout
        return arrives if hears is None else hears & arrives


def _head(settings: WorldModelSettings, *, out: int, activation: Callable[[], nn.Module]) -> FeatureHead:
    return FeatureHead(
        categoricals=settings.categoricals,
        classes=settings.classes,
        dense=settings.recurrent,
        hidden=settings.hidden,
        out=out,
        activation=activation,
    )
