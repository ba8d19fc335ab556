"""MABL's bi-level world model: a global latent above each agent's own (MABL §3.1).

What is known in training alone enters the upper level; at execution an agent computes the lower one, from its own
observations and actions.  Downwards, the agent's prior reads the global latent; upwards, the global posterior reads the
agent's latent.

Axis legend: T time, B windows, M joint rows, N agents, R rows of the global level (N, or 1 if all agents share it),
D observation, F numbers read of an action, K categoricals, C classes, G recurrent size, H width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer.experience.columns import STATE
from trainer.experience.window import Window
from trainer.nets.latent import LatentTable
from trainer.nets.level import AGENT, Level, SeeingLevel
from trainer.nets.observation_scale import as_read, on_scale
from trainer.nets.observations import Image, observation_encoder, team_encoder
from trainer.nets.perceptron import linear_layer, perceptron, prediction_head
from trainer.policy.distributions import ActionDistribution
from trainer.world_model.bilevel_settings import BilevelSettings
from trainer.world_model.model import Decoder, information_head, reward_head
from trainer.world_model.posteriors import DrawIds, LatentModel, Posteriors, unroll
from trainer.world_model.rssm import RSSM


@dataclass(frozen=True, kw_only=True)
class BilevelPosteriors(Posteriors):
    """Features of both levels, the agent's first: ids [T, B, N, 2K], deter [T, B, N, 2G]."""

    global_prior: Tensor
    """[T, B, R, K, C] probabilities."""
    global_prior_ids: Tensor
    """int64 [T, B, R, K], drawn from them: what the agents' priors read."""


class JointRSSM(RSSM):
    """An RSSM that sees the actions of the whole team: h_t = GRU(z_{t-1}, a^1_{t-1} .. a^N_{t-1}, h_{t-1})."""

    def __init__(self, settings: BilevelSettings, *, agents: int, actions: ActionDistribution, embedding: int) -> None:
        self._agents = agents
        super().__init__(settings, actions=actions, embedding=embedding, communication=None)

    def read(self, action: Tensor) -> Tensor:
        return super().read(action).flatten(-2)  # [..., N, F] -> [..., N * F]

    def action_features(self) -> int:
        return self._agents * super().action_features()


class GlobalLevel(nn.Module):
    """The upper level (MABL §3.1.1): what it is, and the two ways in which the levels read one another."""

    def __init__(
        self,
        settings: BilevelSettings,
        *,
        agents: int,
        encoder: Callable[[], nn.Module],
        actions: ActionDistribution,
        below: RSSM,
    ) -> None:
        """`encoder` makes the network that reads the global state."""
        super().__init__()
        hidden, classes = settings.hidden, settings.classes
        self.rows = 1 if settings.global_level == "shared" else agents
        self.encoder = encoder()
        self.rssm = JointRSSM(settings, agents=agents, actions=actions, embedding=hidden)
        self.downward = LatentTable(categoricals=settings.categoricals, classes=classes, out=hidden)
        self.downward.reset_with(linear_layer(below.prior_head, 0), nn.init.xavier_uniform_)
        # A latent that all agents share reads those of all of them, in the order of their slots.
        read = agents // self.rows * settings.categoricals
        self.upward = LatentTable(categoricals=read, classes=classes, out=hidden)
        self.upward.reset_with(linear_layer(self.rssm.posterior_head, 0), nn.init.xavier_uniform_)

    def observe(
        self, window: Window, observed: Tensor, agent: Posteriors, draw_ids: DrawIds, *, reset_action_on_first: bool
    ) -> Posteriors:
        """q(z^g_t | s_t, z^a_t, h^g_t) along a window, [T, B, R, ...], after the agents' own posteriors.

        `observed` [T, B, N, D] is what all agents observe, which takes the place of a state that the simulator lacks.
        """
        state = window.columns.get(STATE, observed.flatten(-2))
        ids = agent.ids.unflatten(2, (self.rows, -1)).flatten(3)  # [T, B, N, K] -> [T, B, R, N / R * K]
        probabilities = agent.probabilities.unflatten(2, (self.rows, -1)).flatten(3, 4)
        inputs = self.rssm.posterior_inputs(self.encoder(state)).unsqueeze(2) + self.upward.gather(ids, probabilities)
        return unroll(
            self.rssm,
            inputs,
            self.joint(window.action),
            window.first,
            draw_ids=draw_ids,
            hears=None,
            reset_action_on_first=reset_action_on_first,
        )

    def prior(self, deter: Tensor) -> Tensor:
        """p(z^g | h^g): probabilities [..., R, K, C] of deter [..., R, G]."""
        return self.rssm.probabilities(self.rssm.prior_logits(deter))

    def joint(self, action: Tensor) -> Tensor:
        """Everyone's actions [..., N, *shape] for each row of this level, [..., R, N, *shape]."""
        return torch.stack([action] * self.rows, dim=-1 - len(self.rssm.actions.shape) - 1)


class BilevelModel(LatentModel):
    """One model, whose parameters all agents share; without a global level, a DreamerV2 of each agent's own.

    A feature is [z^a, z^g] and [h^a, h^g].  Reward and reconstruction are the agent level's, continuation and available
    actions read both (MABL §3.1.2).
    """

    settings: BilevelSettings
    rssm: RSSM

    # Seven parameters: what of an environment decides about the networks.
    def __init__(
        self,
        settings: BilevelSettings,
        *,
        agents: int,
        observation_size: int,
        state_size: int,
        actions: ActionDistribution,
        action_masks: bool,
        image: Image | None = None,
    ) -> None:
        """`state_size` is that of the simulator's global state, 0 where it has none; `image` is what the observations
        begin with, see `EnvironmentSpec.image`."""
        super().__init__()
        self.settings, self.actions, self.agents = settings, actions, agents
        widths, channels = [settings.hidden] * 4, settings.image_channels

        def reads_state() -> nn.Module:
            if state_size:
                return perceptron([state_size, *widths], nn.ReLU)
            return team_encoder(observation_size, widths, agents=agents, image=image, channels=channels)

        encoder = observation_encoder(observation_size, widths, image=image, channels=channels)
        self.encoder = on_scale(encoder, settings.observations, size=observation_size, image=image)
        self.rssm = RSSM(settings, actions=actions, embedding=settings.hidden, communication=None)
        self.above: GlobalLevel | None = None
        if settings.global_level != "none":
            self.above = GlobalLevel(
                settings,
                agents=agents,
                encoder=reads_state,
                actions=actions,
                below=self.rssm,
            )
        self.decoder = self.of_level(Decoder(settings, observation_size=observation_size, image=image))
        self.reward = reward_head(
            settings, lambda out: self.of_level(prediction_head(settings, out=out, activation=nn.ELU))
        )
        self.continuation = prediction_head(settings.feature, out=1, activation=nn.ELU)
        self.available = (
            prediction_head(settings.feature, out=actions.mask_size, activation=nn.ELU) if action_masks else None
        )
        self.information = information_head(settings, outputs=actions.outputs)
        self.saying = None

    def of_level(self, network: nn.Module, *, level: int = AGENT, seeing: bool = False) -> Level:
        """A network that reads one level's part of a feature, and, `seeing`, what is observed."""
        sizes = self.settings
        return (SeeingLevel if seeing else Level)(
            network, level=level, categoricals=sizes.categoricals, recurrent=sizes.recurrent
        )

    def observe(self, window: Window, draw_ids: DrawIds, *, reset_action_on_first: bool = True) -> Posteriors:
        """See LatentModel.  The agents' posteriors are drawn first, then the global ones and, of the priors, the global
        ones, each for the whole window."""
        agent = unroll(
            self.rssm,
            self.rssm.posterior_inputs(self.encoder(window.observation)),
            window.action,
            window.first,
            draw_ids=draw_ids,
            hears=None,
            reset_action_on_first=reset_action_on_first,
        )
        if self.above is None:
            return agent
        observed = as_read(self.encoder, window.observation)
        above = self.above.observe(window, observed, agent, draw_ids, reset_action_on_first=reset_action_on_first)
        prior = self.above.prior(above.deter)
        return BilevelPosteriors(
            ids=self._feature(agent.ids, above.ids, axis=-1),
            probabilities=self._feature(agent.probabilities, above.probabilities, axis=-2),
            deter=self._feature(agent.deter, above.deter, axis=-1),
            global_prior=prior,
            global_prior_ids=draw_ids(prior.detach()),
        )

    def levels(self, posteriors: Posteriors) -> dict[str, tuple[Tensor, Tensor]]:
        """See LatentModel."""
        sizes = self.settings
        deter = posteriors.deter[..., : sizes.recurrent]
        if self.above is None:
            return {"kl_agent": (posteriors.probabilities, self.agent_prior(deter))}
        assert isinstance(posteriors, BilevelPosteriors)
        agent, above = posteriors.probabilities.split(sizes.categoricals, dim=-2)
        prior = self.agent_prior(deter, posteriors.global_prior_ids, posteriors.global_prior)
        return {
            "kl_agent": (agent, prior),
            "kl_global": (above[..., : self.above.rows, :, :], posteriors.global_prior),
        }

    def held(self, window: Window) -> Tensor | None:
        """See LatentModel; nobody hears anybody."""
        return None

    def transition(self, ids: Tensor, deter: Tensor, action: Tensor) -> Tensor:
        """The next recurrent states of both levels, for features ids [M, N, 2K], deter [M, N, 2G], actions [M, N]."""
        keep = deter.new_ones(*deter.shape[:-1], 1)
        (own, *upper), (own_deter, *upper_deter) = self._levels(ids), self._levels(deter)
        following = self.rssm.recur(self.rssm.tokens(own, action, keep), own_deter)
        if self.above is None:
            return following
        rssm, rows = self.above.rssm, self.above.rows
        tokens = rssm.tokens(upper[0], self.above.joint(action), keep[:, :rows])
        return self._feature(following, rssm.recur(tokens, upper_deter[0]), axis=-1)

    def first_prior(self, deter: Tensor) -> Tensor:
        """Probabilities of what is drawn first of the next latents: the global ones [M, R, K, C], if there are any."""
        own, *upper = self._levels(deter)
        return self.agent_prior(own) if self.above is None else self.above.prior(upper[0])

    def draw_down(self, prior: Tensor, deter: Tensor, draw_ids: DrawIds) -> Tensor:
        """The next latents [M, N, 2K]: global ones from `first_prior`, then the agents' own given those."""
        first = draw_ids(prior)
        if self.above is None:
            return first
        own, _ = self._levels(deter)
        return self._feature(draw_ids(self.agent_prior(own, first)), first, axis=-1)

    def agent_prior(self, deter: Tensor, ids: Tensor | None = None, probabilities: Tensor | None = None) -> Tensor:
        """p(z^a | h^a, z^g): probabilities [..., N, K, C] of deter [..., N, G] and global latents [..., R, K]."""
        inputs = None if self.above is None or ids is None else self.above.downward.gather(ids, probabilities)
        return self.rssm.probabilities(self.rssm.prior_logits(deter, inputs))

    def _levels(self, feature: Tensor) -> list[Tensor]:
        """A feature's ids or recurrent states by level, the global one [M, R, ...]."""
        if self.above is None:
            return [feature]
        own, upper = feature.chunk(2, dim=-1)
        return [own, upper[..., : self.above.rows, :]]

    def _feature(self, own: Tensor, upper: Tensor, *, axis: int) -> Tensor:
        """Both levels side by side; a shared global level is the same for every agent."""
        return torch.cat([own, upper.expand_as(own)], dim=axis)
