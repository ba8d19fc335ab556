"""Acting by search: while experience is collected, with noise, and in evaluations with search, without.

Axis legend: E copies of the environment, N agents, F frames, O numbers of a frame, K sampled joint actions, A actions.

A search looks at the whole team, so nothing of this is what the agents' bundles do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from heliograph.environments.vector import EnvironmentSpec
from trainer.algorithms.mazero.found import Found, found_by, tempered
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.planning import PlanningModel, planned
from trainer.algorithms.mazero.seeing import frame_size, remembered, seen
from trainer.algorithms.mazero.settings import MazeroSettings, SelfPlaySettings
from trainer.policy.draws import Draws, GreedyDraws, RandomDraws
from trainer.search import draws as search_draws
from trainer.search.reuse import Subtree, nothing
from trainer.search.search import Search


@dataclass(kw_only=True)
class Learned:
    """How far training is; a behaviour and the algorithm look at the same one."""

    updates: int = 0


@dataclass(frozen=True, kw_only=True)
class SelfPlayState(Found, Subtree):
    """What a team carries from step to step: what the search found that chose its last action, [E, ...], and what of
    its tree the next one goes on with, which is nothing unless the settings want it."""

    frames: Tensor
    """[E, N, F, O], oldest first."""
    done: Tensor
    """int64 [E, N]: the last actions."""

    def columns(self) -> dict[str, Tensor]:
        return _found(self).columns()


@dataclass(frozen=True, kw_only=True)
class SearchingTeam:
    """A `Policy` that searches before every action and takes what the search thinks best; a sampled one by its visits.
    The searches' own draws come from `generator`."""

    model: MazeroModel
    settings: MazeroSettings
    spec: EnvironmentSpec
    generator: torch.Generator | None = None
    noise_size = 1

    def initial_state(self, copies: int) -> SelfPlayState:
        """Its content does not matter."""
        settings, like = self.settings.model, next(self.model.parameters())
        agents, samples = self.spec.agents, self.settings.search.samples
        shares = like.new_zeros(copies, samples)
        return SelfPlayState(
            **vars(self._nothing_known(like.new_zeros(copies, agents, settings.hidden))),
            frames=like.new_zeros(copies, agents, settings.frames, frame_size(settings, self.spec)),
            done=torch.zeros(copies, agents, dtype=torch.int64, device=like.device),
            actions=torch.zeros(copies, samples, agents, dtype=torch.int64, device=like.device),
            valid=torch.zeros(copies, samples, dtype=torch.bool, device=like.device),
            policy=shares,
            q=shares,
            ratio=shares,
            prediction=shares[:, 0],
            value=shares[:, 0],
        )

    def act(
        self,
        state: SelfPlayState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, SelfPlayState]:
        frames = self.see(state, observation, first)
        run = self.searched(
            frames, action_mask, search_draws.RandomDraws(self.generator), noise=False, known=known_in(state, first)
        )
        result = run.result()
        found = found_by(result, self.settings.search)
        chosen = result.best if isinstance(draws, GreedyDraws) else self.shared_choice(found, draws)
        return self.done(run, found, frames, chosen)

    def shared_choice(self, found: Found, draws: Draws) -> Tensor:
        """One joint action per copy, int64 [E], by its visits, from the first agent's noise."""
        agents = self.spec.agents
        return draws.latent(found.policy.unsqueeze(1).expand(-1, agents, -1).unsqueeze(2))[:, 0, 0]

    def see(self, state: SelfPlayState, observation: Tensor, first: Tensor) -> Tensor:
        """The frames [E, N, F, O] that the agents see now."""
        settings = self.model.settings
        return remembered(settings, state.frames, state.done, observation, first, self.spec.actions)

    # Six parameters: what is seen and may be done, and those of `planned` that it does not know by itself.
    def searched(
        self,
        frames: Tensor,
        action_mask: Tensor,
        draws: search_draws.SearchDraws,
        *,
        noise: bool,
        known: Subtree | None = None,
    ) -> Search:
        """Searches from there, [E] roots."""
        planning = PlanningModel(model=self.model)
        root = planning.root(seen(self.model.settings, frames), action_mask)
        settings = self.settings.search
        return planned(planning, root, settings, draws, noise=noise, known=known if settings.reuse else None)

    def done(self, run: Search, found: Found, frames: Tensor, chosen: Tensor) -> tuple[Tensor, SelfPlayState]:
        """The joint actions [E, N] at `chosen` places [E], and the state after them."""
        action = found.actions[torch.arange(len(chosen), device=chosen.device), chosen]
        left = run.below(chosen) if self.settings.search.reuse else self._nothing_known(run.tree.hidden[0])
        return action, SelfPlayState(**vars(found), **vars(left), frames=frames, done=action)

    def _nothing_known(self, hidden: Tensor) -> Subtree:
        """For teams with such hidden states [E, N, H]."""
        chosen = self.settings.search
        return nothing(
            hidden,
            nodes=chosen.simulations if chosen.reuse else 0,
            samples=chosen.samples,
            agents=self.spec.agents,
        )


@dataclass(frozen=True, kw_only=True)
class SelfPlay(SearchingTeam):
    """A `Behaviour`: searches with noise, and draws from the visits at a temperature."""

    learned: Learned

    def columns(self, state: SelfPlayState) -> dict[str, Tensor]:
        return state.columns()

    def act(
        self,
        state: SelfPlayState,
        *,
        observation: Tensor,
        action_mask: Tensor,
        hears: Tensor | None,
        first: Tensor,
        draws: Draws,
    ) -> tuple[Tensor, SelfPlayState]:
        generator = draws.generator if isinstance(draws, RandomDraws) else None
        frames, searching = self.see(state, observation, first), search_draws.RandomDraws(generator)
        run = self.searched(frames, action_mask, searching, noise=True, known=known_in(state, first))
        return self.decided(run, frames, draws)

    def decided(self, run: Search, frames: Tensor, draws: Draws) -> tuple[Tensor, SelfPlayState]:
        """What is done after a search in view of frames [E, N, F, O]; before anything has been learned all sampled
        joint actions are alike, and are kept as such."""
        found, play = found_by(run.result(), self.settings.search), self.settings.play
        if play.random_until_trained and not self.learned.updates:
            alike = found.valid.to(found.policy.dtype)
            found = replace(found, policy=alike / alike.sum(-1, keepdim=True))
        chosen = draws.latent(tempered(found.policy, temperature(play, self.learned.updates)))
        return self.done(run, found, frames, chosen)


def known_in(state: SelfPlayState, first: Tensor) -> Subtree:
    """What a state knows of the trees to come; nothing where an episode begins (`first`, bool [E])."""
    part = {field.name: getattr(state, field.name) for field in fields(Subtree)}
    return Subtree(**part | {"nodes": part["nodes"].masked_fill(first, 0)})


def temperature(settings: SelfPlaySettings, updates: int) -> float:
    """After so many updates."""
    phases = settings.temperatures
    return phases[min(len(phases) * updates // settings.temperature_updates, len(phases) - 1)]


def _found(state: SelfPlayState) -> Found:
    return Found(**{field.name: getattr(state, field.name) for field in fields(Found)})
