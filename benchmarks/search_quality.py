"""How good the joint actions are that a search comes to, by number of simulations, where the best ones are known.

    python benchmarks/search_quality.py [--simulations 8 16 32 64 100] [--roots 1000] [--noise 0.5 1.0] [--agents 3]
                                        [--additive 0] [--rules NAME ...] [--walk 4] [--json FILE]

Worlds are random graphs of 300 states in which 3 agents with 5 actions each (125 joint actions) go from state to state;
with other numbers of agents there are more or fewer joint actions.  Rewards are normal; of their variance the share
`--additive` is a sum of what each agent's action is worth by itself.  The discount is 0.9, and optimal values are found
by iteration.  The model knows the graph; its value of a state is the optimal one with an error per state that lasts
(normal, `--noise` times the deviation of optimal values), and each agent's policy is the softmax of what its action is
worth on average over what the others do, with the same error.  Regret is how much less than the best joint action the
chosen one is worth under the optimal values, as a share of what a joint action drawn from the policy loses; 95 %
intervals are over roots.

With `--walk` each search is followed by others, from where the joint action that it came to leads, and regret is that
of the last one: searches that reuse trees go on with what is left of those before.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.search.draws import RandomDraws
from trainer.search.model import Expansion, Root
from trainer.search.search import Search
from trainer.search.settings import SearchSettings

STATES, ACTIONS, DISCOUNT = 300, 5, 0.9
RULES: dict[str, dict[str, Any]] = {
    "pUCT, average": {"quantile": 0.0, "decay": 1.0},
    "pUCT, OS(0.8), rho 0.25": {"quantile": 0.25},
    "pUCT, OS(0.8), rho 0.75": {"quantile": 0.75},
    "progressive, average": {"quantile": 0.0, "decay": 1.0, "sampling": "progressive"},
    "progressive, OS(0.8), rho 0.75": {"quantile": 0.75, "sampling": "progressive"},
    "halving, average": {"quantile": 0.0, "decay": 1.0, "root": "halving"},
    "halving, OS(0.8), rho 0.25": {"quantile": 0.25, "root": "halving"},
    "halving, OS(0.8), rho 0.75": {"quantile": 0.75, "root": "halving"},
    "pUCT, OS(0.8), rho 0.75, reuse": {"quantile": 0.75, "reuse": True},
    "halving, OS(0.8), rho 0.75, reuse": {"quantile": 0.75, "root": "halving", "reuse": True},
}


@dataclass(frozen=True)
class Graph:
    """A world, and a model of it: a hidden state [R] is a state's number."""

    next: Tensor  # int64 [S, joint]
    reward: Tensor  # [S, joint]
    value: Tensor  # [S], with an error
    logits: Tensor  # [S, N, A]
    worth: Tensor  # [S, joint], of a joint action under the optimal values

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        joint = number_of(action)
        state = self.next[hidden, joint]
        return Expansion(
            hidden=state, reward=self.reward[hidden, joint], value=self.value[state], logits=self.logits[state]
        )

    def at(self, state: Tensor) -> Root:
        """Where plans from states [R] begin."""
        legal = torch.ones(self.logits[state].shape, dtype=torch.bool)
        return Root(hidden=state, value=self.value[state], logits=self.logits[state], legal=legal)


def number_of(action: Tensor) -> Tensor:
    """Of joint actions int64 [..., N]."""
    return (action * ACTIONS ** torch.arange(action.shape[-1] - 1, -1, -1)).sum(-1)


def made(noise: float, agents: int, additive: float) -> Graph:
    joint = ACTIONS**agents
    following, reward = torch.randint(STATES, (STATES, joint)), torch.randn(STATES, joint)
    own = torch.randn(STATES, agents, ACTIONS) / agents**0.5
    digits = torch.arange(joint)[:, None] // ACTIONS ** torch.arange(agents - 1, -1, -1) % ACTIONS  # [joint, N]
    sums = own[:, torch.arange(agents), digits].sum(-1)
    reward = additive**0.5 * sums + (1 - additive) ** 0.5 * reward
    value = torch.zeros(STATES)
    for _ in range(400):
        worth = reward + DISCOUNT * value[following]
        value = worth.amax(1)
    error = noise * value.std() * torch.randn(STATES)
    table = worth.view(STATES, *[ACTIONS] * agents)
    axes = range(1, agents + 1)
    alone = torch.stack([table.mean([axis for axis in axes if axis != agent]) for agent in axes], dim=1)
    alone = alone + noise * alone.std() * torch.randn_like(alone)
    return Graph(following, reward, value + error, 2 * alone / alone.std(), worth)


def measured(graph: Graph, state: Tensor, simulations: int, rule: dict[str, Any], walk: int) -> Tensor:
    """Regret [R] of acting by the last of `walk` searches, the first of them from states [R]."""
    settings = SearchSettings(simulations=simulations, samples=16, discount=DISCOUNT, considered=8, **rule)
    known, every = None, torch.arange(len(state))
    for _ in range(walk):
        run = Search(graph.at(state), graph, settings, RandomDraws(), noise=False, known=known).run()
        found, before = run.result(), state
        known = run.below(found.best) if settings.reuse else None
        joint = number_of(found.actions[every, found.best])
        state = graph.next[before, joint]
    worth = graph.worth[before]
    return worth.amax(1) - worth[every, joint]


def drawn(graph: Graph, state: Tensor) -> Tensor:
    """Regret [R] of joint actions drawn from the policy."""
    worth = graph.worth[state]
    action = torch.distributions.Categorical(logits=graph.logits[state]).sample()
    return worth.amax(1) - worth.gather(1, number_of(action)[:, None])[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, nargs="+", default=[8, 16, 32, 64, 100])
    parser.add_argument("--roots", type=int, default=1000)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--agents", type=int, default=3)
    parser.add_argument("--additive", type=float, default=0.0)
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES), metavar="NAME")
    parser.add_argument("--walk", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for noise in arguments.noise:
        torch.manual_seed(0)
        graph = made(noise, arguments.agents, arguments.additive)
        state = torch.randint(STATES, (arguments.roots,))
        base = drawn(graph, state).mean()
        print(f"error {noise}: regret as a share of that of drawn joint actions ({base:.2f})")
        for name in arguments.rules:
            rule, row = RULES[name], []
            for simulations in arguments.simulations:
                regret = measured(graph, state, simulations, rule, arguments.walk) / base
                mean, half = regret.mean().item(), 1.96 * regret.std().item() / len(regret) ** 0.5
                results.append({"noise": noise, "rule": name, "simulations": simulations, "regret": mean, "ci": half})
                row.append(f"{mean:.3f} ± {half:.3f}")
            print(f"  {name:36}" + "  ".join(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
