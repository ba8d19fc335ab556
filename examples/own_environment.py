"""An environment of one's own: a lookout sees which door is open, and a runner who does not must take it.

It needs gymnasium and pettingzoo: pip install '.[trainer,mpe]' in the checkout.
In this folder: heliograph train --environment own_environment:make --set schedule.minutes=2
Then: heliograph run --bundles RUN/bundles --allow-environment own_environment:make
"""

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv


class Doors(ParallelEnv):
    metadata = {"name": "doors"}
    possible_agents = ["lookout", "runner"]
    episode_limit = 4
    observed = {"lookout": Box(0, 1, (3,), np.float32), "runner": Box(0, 1, (1,), np.float32)}
    acting = {"lookout": Discrete(1), "runner": Discrete(3)}

    def observation_space(self, agent):
        return self.observed[agent]

    def action_space(self, agent):
        return self.acting[agent]

    def reset(self, seed=None, options=None):
        self.agents, self.left = list(self.possible_agents), self.episode_limit
        self.open = np.random.default_rng(seed).integers(3)
        return self._see(), {agent: {} for agent in self.agents}

    def step(self, actions):
        acted, self.left = self.agents, self.left - 1
        self.agents = acted if self.left else []
        rewards = dict.fromkeys(acted, float(actions["runner"] == self.open))
        ends, cuts = dict.fromkeys(acted, False), dict.fromkeys(acted, not self.agents)
        return self._see(), rewards, ends, cuts, {agent: {} for agent in acted}

    def _see(self):
        return {"lookout": np.eye(3, dtype=np.float32)[self.open], "runner": np.full(1, self.left / 4, np.float32)}


def make():
    return Doors()
