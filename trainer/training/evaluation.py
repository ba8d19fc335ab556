"""Central evaluation: the trainer's own networks, all agents in one batch, on the runtime's episodes and noise.

Episode e of an evaluation with seed s has the world, and every agent the random numbers, of episode e of
`heliograph run --seed s`; so the two can be compared episode by episode.

Axis legend: E copies, N agents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heliograph.environments.episodes import EpisodeResults, TeamPolicy, run_episodes
from heliograph.environments.vector import MOST_STEPS, AgentInputs, Transition, VectorEnvironment
from heliograph.noise import uniform
from trainer.experience.readable import neighbour_tensor, receivable
from trainer.policy.acting import Policy
from trainer.policy.draws import Draws, GreedyDraws, NoiseDraws


# Ten parameters: what is played, how much, how, and what may cut it short; four have a default.
def evaluate(
    policy: Policy,
    environment: VectorEnvironment,
    *,
    episodes: int,
    seed: int,
    greedy: bool,
    device: torch.device,
    links_cut: bool = False,
    most_steps: int = MOST_STEPS,
    progress: Callable[[int], None] = lambda _finished: None,
    check: Callable[[], None] = lambda: None,
) -> EpisodeResults:
    """Play `episodes` whole episodes; with `links_cut` nobody hears anybody.

    `most_steps`, `progress` and `check` are those of `run_episodes`.  Raises WorldError as it does.
    """
    networks = _Networks(policy, environment, seed=seed, greedy=greedy, links_cut=links_cut, device=device)
    return run_episodes(
        environment, networks, episodes=episodes, seed=seed, most_steps=most_steps, progress=progress, check=check
    )


class _Networks(TeamPolicy):
    """A policy as a player, with the noise of the runtime's agents."""

    def __init__(
        self,
        policy: Policy,
        environment: VectorEnvironment,
        *,
        seed: int,
        greedy: bool,
        links_cut: bool,
        device: torch.device,
    ) -> None:
        self._policy, self._environment, self._device = policy, environment, device
        self._seed, self._greedy, self._links_cut = seed, greedy, links_cut
        self._state = policy.initial_state(environment.count)
        self._number = np.zeros(environment.count, dtype=np.int64)
        self._step = np.zeros(environment.count, dtype=np.int64)
        self._spoke = np.zeros((environment.count, environment.spec.agents), dtype=bool)  # at the step before

    def begin(self, copy: int, *, episode: int) -> None:
        self._number[copy], self._step[copy] = episode, 0

    def step(self, agent_inputs: AgentInputs) -> Transition:
        first = self._step == 0
        spoke = np.where(first[:, None], agent_inputs.present, self._spoke)
        action, self._state = self._policy.act(
            self._state,
            observation=torch.from_numpy(agent_inputs.observation).to(self._device),
            action_mask=torch.from_numpy(np.ascontiguousarray(agent_inputs.action_mask)).to(self._device),
            hears=self._hears(agent_inputs, spoke=spoke),
            first=torch.from_numpy(first).to(self._device),
            draws=GreedyDraws() if self._greedy else self._noise(),
        )
        self._spoke = agent_inputs.present.copy()
        self._step += 1
        return self._environment.step(action.cpu().numpy())

    def _hears(self, agent_inputs: AgentInputs, *, spoke: npt.NDArray[Any]) -> torch.Tensor | None:
        if self._links_cut:
            return torch.zeros(agent_inputs.hears.shape, dtype=torch.bool, device=self._device)
        return neighbour_tensor(
            receivable(agent_inputs, spoke=spoke).hears, self._environment.spec, device=self._device
        )

    def _noise(self) -> Draws:
        size = self._policy.noise_size
        numbers = [
            [
                uniform(run_seed=self._seed, slot=slot, episode=int(episode), step=int(at), size=size)
                for slot in range(self._environment.spec.agents)
            ]
            for episode, at in zip(self._number, self._step, strict=True)
        ]
        return NoiseDraws(torch.from_numpy(np.array(numbers)).to(self._device))
