"""What a search costs: simulations per second over roots x simulations x agents, and what share of it is the tree.

    python benchmarks/search_speed.py table [--roots 4 64 256] [--simulations 25 100] [--agents 3 8] [--device cpu]
    python benchmarks/search_speed.py published [--roots 4 256 1536] [--repeats 3] [--json FILE]

The model is MAZero's with its sizes on StarCraft: hidden 128, three layers of communication, 30 observations, 9
actions, 11 bins, K 10.  Weights are random, so trees are as deep as an untrained team's.

`published` sets our arrangement beside that of MAZero rebuilt: a tree of nodes for each root, walked one after the
other, with the model called once per simulation for all of them.  Theirs is compiled and ours here is plain Python, so
its tree time is no measure of theirs; what their code needed is printed beside it, scaled from the machine it was
measured on by the single-precision matrix product of the same run.  CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from bisect import insort
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from matrix_roof import matrix_roof_gflops
from three_marines import ACTIONS, OBSERVATION, three_marines
from torch import Tensor

from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.planning import PlanningModel
from trainer.algorithms.mazero.settings import MazeroModelSettings
from trainer.search.draws import RandomDraws, actions_at
from trainer.search.kept import kept_counts
from trainer.search.model import Expansion, Root
from trainer.search.search import Search
from trainer.search.settings import SearchSettings

PUBLISHED_CPU_S = {4: 0.37, 256: 2.7, 1536: 14.9}
"""MAZero's code at K 10, N 100, 3 agents, by roots."""
PUBLISHED_GFLOPS = 90.0
"""Of the machine of these figures."""


class TimedModel:
    """MAZero's networks, which say how long they took."""

    def __init__(self, agents: int, device: torch.device) -> None:
        self.spent_s, self.device = 0.0, device
        model = MazeroModel(MazeroModelSettings(zero_heads=False), three_marines(agents)).eval().to(device)
        self.weights = sum(parameter.numel() for parameter in model.parameters())
        self.planning = PlanningModel(model=model)
        self.legal = (agents, ACTIONS)

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        began = clock(self.device)
        found = self.planning.step(hidden, action)
        self.spent_s += clock(self.device) - began
        return found

    @torch.no_grad()
    def root(self, roots: int) -> Root:
        agents, actions = self.legal
        seen = torch.randn(roots, agents, OBSERVATION, device=self.device)
        legal = torch.ones(roots, agents, actions, dtype=torch.bool, device=self.device)
        return self.planning.root(seen, legal)


def clock(device: torch.device) -> float:
    """CPU seconds of this process; on an accelerator wall-clock seconds, when all is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass
class Node:
    """One node of the published arrangement."""

    prediction: float
    reward: float = 0.0
    value: float = 0.0
    visits: int = 0
    actions: list[tuple[int, ...]] = field(default_factory=list)
    priors: list[float] = field(default_factory=list)
    children: dict[int, int] = field(default_factory=dict)
    returns: dict[int, list[float]] = field(default_factory=dict)


class TreeOfNodes:
    """The tree of one root: selection and OS(lambda) node by node, returns in sorted lists."""

    def __init__(self, settings: SearchSettings, prediction: float, draws: Tensor, generator: torch.Generator) -> None:
        self.settings, self.generator = settings, generator
        self.kept = kept_counts(settings.simulations + 1, settings.quantile, settings.kept).tolist()
        self.nodes = [Node(prediction)]
        self.advantages: list[float] = []
        self.path, self.slots = [0], [0]
        self.grow(self.nodes[0], draws)
        self.file(prediction)

    def grow(self, node: Node, draws: Tensor) -> None:
        counts: dict[tuple[int, ...], int] = {}
        for action in sorted(map(tuple, draws.tolist())):
            counts[action] = counts.get(action, 0) + 1
        node.actions = list(counts)
        node.priors = [count / len(draws) for count in counts.values()]

    def select(self) -> tuple[int, tuple[int, ...]]:
        """The leaf's parent, and the joint action that leads to the leaf."""
        number = 0
        self.path, self.slots = [0], []
        least, largest = min(self.advantages, default=0.0), max(self.advantages, default=0.0)
        span = max(largest - least, self.settings.advantage_floor)
        while True:
            node = self.nodes[number]
            in_order = number == 0 and node.visits <= len(node.actions)
            slot = node.visits - 1 if in_order else self.best(node, least, span)
            self.slots.append(slot)
            if slot not in node.children:
                return number, node.actions[slot]
            number = node.children[slot]
            self.path.append(number)

    def best(self, node: Node, least: float, span: float) -> int:
        count = node.visits - 1
        weight = (torch.log(torch.tensor((count + 19653) / 19652)).item() + 1.25) * count**0.5
        scores = []
        for slot, prior in enumerate(node.priors):
            child = self.nodes[node.children[slot]] if slot in node.children else None
            gain = child.reward + self.settings.discount * child.value - node.prediction if child else 0.0
            visits = child.visits if child else 0
            scores.append(prior * weight / (1 + visits) + min(max((gain - least) / span, 0.0), 1.0))
        top = max(scores)
        ties = [slot for slot, score in enumerate(scores) if score >= top - 1e-6]
        return ties[int(torch.randint(len(ties), (), generator=self.generator))] if len(ties) > 1 else ties[0]

    def expand(self, reward: float, value: float, draws: Tensor) -> None:
        node = Node(value, reward)
        self.grow(node, draws)
        self.nodes[self.path[-1]].children[self.slots[-1]] = len(self.nodes)
        self.path.append(len(self.nodes))
        self.nodes.append(node)
        self.advantages.append(0.0)
        self.file(value)

    def file(self, value: float) -> None:
        gain = value
        for distance, number in enumerate(reversed(self.path)):
            node = self.nodes[number]
            insort(node.returns.setdefault(distance, []), gain)
            node.visits += 1
            total = weight = 0.0
            for of, values in node.returns.items():
                kept = values[len(values) - self.kept[len(values)] :]
                total += self.settings.decay**of * sum(kept)
                weight += self.settings.decay**of * len(kept)
            node.value = total / weight
            gain = node.reward + self.settings.discount * gain
        for above, number in zip(self.path, self.path[1:], strict=False):
            node = self.nodes[number]
            prediction = self.nodes[above].prediction
            self.advantages[number - 1] = node.reward + self.settings.discount * node.value - prediction


@torch.no_grad()
def search_of_nodes(root: Root, model: TimedModel, settings: SearchSettings) -> None:
    """The published arrangement: trees apart, one call of the model for all of them."""
    generator = torch.Generator().manual_seed(0)

    def drawn(logits: Tensor) -> Tensor:
        roots, agents, _ = logits.shape
        return actions_at(logits.softmax(-1), torch.rand(roots, settings.samples, agents, generator=generator))

    first = drawn(root.logits)
    trees = [TreeOfNodes(settings, value, of, generator) for value, of in zip(root.value.tolist(), first, strict=True)]
    hidden = [root.hidden]
    rows = torch.arange(len(trees))
    for _ in range(settings.simulations):
        parents, actions = zip(*(tree.select() for tree in trees), strict=True)
        above = torch.stack([hidden[parent][row] for row, parent in zip(rows, parents, strict=True)])
        found = model.step(above, torch.tensor(actions))
        hidden.append(found.hidden)
        draws = drawn(found.logits)
        for tree, reward, value, of in zip(trees, found.reward.tolist(), found.value.tolist(), draws, strict=True):
            tree.expand(reward, value, of)


def search_of_arrays(root: Root, model: TimedModel, settings: SearchSettings) -> int:
    """Ours; the depth of its deepest tree."""
    run = Search(root, model, settings, RandomDraws())
    for _ in range(settings.simulations):
        run.simulate()
    run.result()
    return int(run.tree.paths.depth.max())


def timed(search: Any, root: Root, model: TimedModel, settings: SearchSettings) -> dict[str, float]:
    model.spent_s = 0.0
    began = clock(root.value.device)
    search(root, model, settings)
    total = clock(root.value.device) - began
    return {
        "total_s": total,
        "model_s": model.spent_s,
        "tree_s": total - model.spent_s,
        "gflops": matrix_roof_gflops(time.process_time, repeats=6),
    }


def made(roots: int, agents: int, device: str = "cpu") -> tuple[TimedModel, Root]:
    torch.manual_seed(0)
    model = TimedModel(agents, torch.device(device))
    return model, model.root(roots)


def table(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    results = []
    print("roots  simulations  agents  simulations/s  tree share  deepest")
    for agents in arguments.agents:
        for roots in arguments.roots:
            model, root = made(roots, agents, arguments.device)
            for simulations in arguments.simulations:
                settings = SearchSettings(simulations=simulations)
                search_of_arrays(root, model, SearchSettings(simulations=4))
                deepest = search_of_arrays(root, model, settings)
                of = timed(search_of_arrays, root, model, settings)
                rate, share = roots * simulations / of["total_s"], of["tree_s"] / of["total_s"]
                results.append({"roots": roots, "simulations": simulations, "agents": agents, "rate": rate, **of})
                print(f"{roots:5} {simulations:12} {agents:7} {rate:14,.0f} {share:11.2f} {deepest:8}", flush=True)
    return results


def published(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    settings, results = SearchSettings(), []
    print("roots  arrangement      total s  model s  tree s  share  of the published, scaled")
    for roots in arguments.roots:
        model, root = made(roots, 3)
        print(f"{roots:5}  {model.weights:,} weights")
        ways = {"arrays": search_of_arrays, "trees of nodes": search_of_nodes}
        for name, search in ways.items():
            measured = [timed(search, root, model, settings) for _ in range(arguments.repeats)]
            of = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
            ratio = of["total_s"] * of["gflops"] / (PUBLISHED_CPU_S.get(roots, float("nan")) * PUBLISHED_GFLOPS)
            results.append({"roots": roots, "arrangement": name, "ratio": ratio, **of})
            print(
                f"{roots:5}  {name:15} {of['total_s']:8.3f} {of['model_s']:8.3f} {of['tree_s']:7.3f} "
                f"{of['tree_s'] / of['total_s']:6.2f}  {ratio:5.2f} at {of['gflops']:.0f} GFLOP/s",
                flush=True,
            )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "published"])
    parser.add_argument("--roots", type=int, nargs="+", default=[4, 64, 256])
    parser.add_argument("--simulations", type=int, nargs="+", default=[25, 100])
    parser.add_argument("--agents", type=int, nargs="+", default=[3, 8])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = table(arguments) if arguments.what == "table" else published(arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
