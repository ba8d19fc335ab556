"""How good the joint actions are that a search comes to, by number of simulations, where the best ones are known.

    python benchmarks/search_quality.py [--simulations 8 16 32 64 100] [--roots 1000] [--noise 0.5 1.0] [--json FILE]

Worlds are random graphs of 300 states in which 3 agents with 5 actions each (125 joint actions) go from state to state;
rewards are normal, the discount is 0.9, and optimal values are found by iteration.  The model knows the graph; its
value of a state is the optimal one with an error per state that lasts (normal, `--noise` times the deviation of optimal
values), and each agent's policy is the softmax of what its action is worth on average over what the others do, with the
same error.  Regret is how much less than the best joint action the chosen one is worth under the optimal values, as a
share of what a joint action drawn from the policy loses; 95 % intervals are over roots.
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
from trainer.search.search import search
from trainer.search.settings import SearchSettings

STATES, AGENTS, ACTIONS, DISCOUNT = 300, 3, 5, 0.9
RULES: dict[str, dict[str, Any]] = {
    "pUCT, average": {"quantile": 0.0, "decay": 1.0},
    "pUCT, OS(0.8), rho 0.25": {"quantile": 0.25},
    "pUCT, OS(0.8), rho 0.75": {"quantile": 0.75},
    "halving, average": {"quantile": 0.0, "decay": 1.0, "root": "halving"},
    "halving, OS(0.8), rho 0.25": {"quantile": 0.25, "root": "halving"},
    "halving, OS(0.8), rho 0.75": {"quantile": 0.75, "root": "halving"},
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

    def root(self, roots: int) -> Root:
        state = torch.randint(STATES, (roots,))
        legal = torch.ones(roots, AGENTS, ACTIONS, dtype=torch.bool)
        return Root(hidden=state, value=self.value[state], logits=self.logits[state], legal=legal)


def number_of(action: Tensor) -> Tensor:
    """Of joint actions int64 [..., N]."""
    return (action * ACTIONS ** torch.arange(AGENTS - 1, -1, -1)).sum(-1)


def made(noise: float) -> Graph:
    joint = ACTIONS**AGENTS
    following, reward = torch.randint(STATES, (STATES, joint)), torch.randn(STATES, joint)
    value = torch.zeros(STATES)
    for _ in range(400):
        worth = reward + DISCOUNT * value[following]
        value = worth.amax(1)
    error = noise * value.std() * torch.randn(STATES)
    table = worth.view(STATES, *[ACTIONS] * AGENTS)
    axes = range(1, AGENTS + 1)
    alone = torch.stack([table.mean([axis for axis in axes if axis != agent]) for agent in axes], dim=1)
    alone = alone + noise * alone.std() * torch.randn_like(alone)
    return Graph(following, reward, value + error, 2 * alone / alone.std(), worth)


def measured(graph: Graph, root: Root, simulations: int, rule: dict[str, Any]) -> Tensor:
    """Regret [R] of acting by the search."""
    settings = SearchSettings(simulations=simulations, samples=16, discount=DISCOUNT, considered=8, **rule)
    found = search(root, graph, settings, RandomDraws(), noise=False)
    best = found.actions.gather(1, found.best[:, None, None].expand(-1, 1, AGENTS))[:, 0]
    worth = graph.worth[root.hidden]
    return worth.amax(1) - worth.gather(1, number_of(best)[:, None])[:, 0]


def drawn(graph: Graph, root: Root) -> Tensor:
    """Regret [R] of joint actions drawn from the policy."""
    worth = graph.worth[root.hidden]
    action = torch.distributions.Categorical(logits=root.logits).sample()
    return worth.amax(1) - worth.gather(1, number_of(action)[:, None])[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, nargs="+", default=[8, 16, 32, 64, 100])
    parser.add_argument("--roots", type=int, default=1000)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = []
    for noise in arguments.noise:
        torch.manual_seed(0)
        graph = made(noise)
        root = graph.root(arguments.roots)
        base = drawn(graph, root).mean()
        print(f"error {noise}: regret as a share of that of drawn joint actions ({base:.2f})")
        for name, rule in RULES.items():
            row = []
            for simulations in arguments.simulations:
                regret = measured(graph, root, simulations, rule) / base
                mean, half = regret.mean().item(), 1.96 * regret.std().item() / len(regret) ** 0.5
                results.append({"noise": noise, "rule": name, "simulations": simulations, "regret": mean, "ci": half})
                row.append(f"{mean:.3f} ± {half:.3f}")
            print(f"  {name:28}" + "  ".join(row), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
