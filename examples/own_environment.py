"""An environment of one's own, as any PettingZoo parallel environment: two scouts who must meet at the warmer place.

    heliograph train --environment examples.own_environment:make --set schedule.minutes=2

Each scout feels the temperature of one of two places and must go where it is warmer, so it has to be told of the other.
"""

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Scouts(ParallelEnv):
    metadata = {"name": "scouts"}
    possible_agents = ["north", "south"]
    episode_limit = 4

    def observation_space(self, agent):
        return Box(0, 1, (1,), np.float32)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.left = list(self.possible_agents), self.episode_limit
        self.warmth = np.random.default_rng(seed).random(2, dtype=np.float32)
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.left -= 1
        rewards = {agent: float(actions[agent] == self.warmth.argmax()) for agent in self.agents}
        ends, cuts = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, self.left == 0)
        infos, seen = {agent: {} for agent in self.agents}, self._see()
        self.agents = self.agents if self.left else []
        return seen, rewards, ends, cuts, infos

    def _see(self):
        return {agent: self.warmth[place : place + 1] for place, agent in enumerate(self.possible_agents)}


def make():
    return Scouts()
