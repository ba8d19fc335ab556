"""MAMBA's world model: encoder, RSSM with communication, decoder and the four prediction heads (MAMBA §3.1-3.2).

Axis legend: T time, B windows, N agents, D observation, P outputs of an actor, K categoricals, C classes,
G recurrent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainer.experience.channel_settings import ChannelSettings
from trainer.experience.links import AGE
from trainer.experience.window import Window
from trainer.nets.agentwise import per_agent
from trainer.nets.communication import CommunicationBlock
from trainer.nets.observation_scale import on_scale
from trainer.nets.observations import Image, observation_decoder, observation_encoder
from trainer.nets.perceptron import perceptron, prediction_head
from trainer.nets.scaled_head import TARGETS, ScaledHead, TwoHotHead
from trainer.nets.settings import LatentSettings
from trainer.policy.distributions import ActionDistribution
from trainer.world_model.message_cost import MessagePrice
from trainer.world_model.message_predictor import MessagePredictor
from trainer.world_model.message_settings import MessageSettings
from trainer.world_model.own_rssms import OwnRSSMs
from trainer.world_model.posteriors import DrawIds, LatentModel, Posteriors, unroll
from trainer.world_model.prediction_loss import prediction_loss
from trainer.world_model.rssm import RSSM
from trainer.world_model.saying import chances, make_head
from trainer.world_model.settings import LatentModelSettings, WorldModelSettings


class Decoder(nn.Module):
    """Observation decoder; its last hidden layer is also the input of the information head."""

    def __init__(self, settings: LatentSettings, *, observation_size: int, image: Image | None = None) -> None:
        super().__init__()
        self.hidden = prediction_head(settings, out=settings.hidden, activation=nn.ReLU)
        self.out = observation_decoder(settings.hidden, observation_size, image=image, channels=settings.image_channels)

    def forward(self, ids: Tensor, deter: Tensor, probabilities: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reconstruction [..., D] and decoder feature [..., H]."""
        feature = torch.relu(self.hidden(ids, deter, probabilities))
        return self.out(feature), feature


class WorldModel(LatentModel):
    """The models of a team: one whose parameters all share, where the slot enters through the positional code alone, or
    one of each agent's own."""

    settings: WorldModelSettings
    OPTIONAL_PARTS: ClassVar[tuple[str, ...]] = ("saying", "price")

    # Eight parameters: the sizes of its networks, what they read, and how they learn to talk.
    def __init__(
        self,
        settings: WorldModelSettings,
        *,
        agents: int,
        observation_size: int,
        actions: ActionDistribution,
        action_masks: bool,
        image: Image | None = None,
        channel: ChannelSettings = ChannelSettings(),  # noqa: B008  # settings never change
        message: MessageSettings = MessageSettings(),  # noqa: B008
    ) -> None:
        """`image` is what the observations begin with, see `EnvironmentSpec.image`, `channel` what it learns with, and
        `message` what its bits cost."""
        super().__init__()
        self.settings, self.actions, self.channel = settings, actions, channel
        hidden = settings.hidden

        def each(make: Callable[[], nn.Module]) -> nn.Module:
            return per_agent(make, agents=agents, shared=settings.shared)

        def head(out: int) -> nn.Module:
            return each(lambda: prediction_head(settings, out=out, activation=nn.ELU))

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
                    reach=settings.communication,
                ),
                predictor=MessagePredictor(
                    settings, agents=agents, action_features=actions.features, filling=channel.filling
                )
                if channel.predicts
                else None,
                partial=message.learns_precision,
            )

        encoder = each(
            lambda: observation_encoder(observation_size, [hidden] * 4, image=image, channels=settings.image_channels)
        )
        self.encoder = on_scale(encoder, settings.observations, size=observation_size, image=image)
        self.rssm = rssm() if settings.shared else OwnRSSMs(rssm, agents=agents)
        self.decoder = each(lambda: Decoder(settings, observation_size=observation_size, image=image))
        self.reward = reward_head(settings, head)
        self.continuation = head(1)
        self.available = head(actions.mask_size) if action_masks else None
        self.information = each(lambda: information_head(settings, outputs=actions.outputs))
        self.price = (
            MessagePrice(message, categoricals=settings.categoricals, classes=settings.classes)
            if message.is_priced
            else None
        )
        self.saying = each(lambda: make_head(settings)) if message.learns_precision else None

    def observe(self, window: Window, draw_ids: DrawIds, *, reset_action_on_first: bool = True) -> Posteriors:
        """See LatentModel."""
        return unroll(
            self.rssm,
            self.rssm.posterior_inputs(self.encoder(window.observation)),
            window.action,
            window.first,
            draw_ids=draw_ids,
            hears=self._receivable(window),
            reset_action_on_first=reset_action_on_first,
            age=window.columns[AGE] if self.channel.is_on else None,
            holds=self.channel.holds,
            predicts=self.channel.predicts,
            saying=None if self.saying is None else self._numbers,
            foresees=self.settings.imagine_with_neighbours,
        )

    def _numbers(self, ids: Tensor, deter: Tensor) -> Tensor:
        """Of `saying.chances`, which learn nothing before the price of a bit has risen: nobody listens at first."""
        assert self.saying is not None
        assert self.price is not None
        found = chances(self.saying, ids, deter)
        return found.detach() + self.price.risen * (found - found.detach())

    def prediction_loss(self, window: Window, posteriors: Posteriors) -> Tensor | None:
        """See LatentModel."""
        if not self.channel.predicts:
            return None
        return prediction_loss(self.rssm, window, posteriors, window.columns[AGE])

    def levels(self, posteriors: Posteriors) -> dict[str, tuple[Tensor, Tensor]]:
        """See LatentModel."""
        prior = self.rssm.probabilities(self.rssm.prior_logits(posteriors.foreseen))
        return {"kl": (posteriors.probabilities, prior)}

    def held(self, window: Window) -> Tensor | None:
        """See LatentModel."""
        held = self.settings.train_with_neighbours and self.settings.imagine_with_neighbours
        return window.hears if held else None

    def _receivable(self, window: Window) -> Tensor | None:
        """The neighbour sets that a model update uses: recorded ones, thinned by message dropout."""
        settings = self.settings
        hears = window.hears if settings.train_with_neighbours else None
        if not (settings.message_dropout and self.training):
            return hears
        shape = (*window.reward.shape, window.reward.shape[-1])
        arrives = torch.rand(shape, device=window.reward.device) >= settings.message_dropout
        return arrives if hears is None else hears & arrives


def reward_head(settings: LatentModelSettings, head: Callable[[int], nn.Module]) -> nn.Module:
    """[..., 1], made of heads with so many outputs, on the scale that the settings say."""
    if settings.reward_head == "two_hot":
        return TwoHotHead(head(TARGETS.points))
    return ScaledHead(head(1)) if settings.reward_head == "scaled" else head(1)


def information_head(settings: LatentSettings, *, outputs: int) -> nn.Sequential:
    """Outputs [..., P] for the last action from the decoder feature [..., H]."""
    hidden = settings.hidden
    return nn.Sequential(
        *perceptron([hidden, hidden, hidden], nn.ELU), nn.ReLU(), *perceptron([hidden, outputs], nn.ReLU)
    )
