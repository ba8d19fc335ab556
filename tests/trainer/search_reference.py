"""Replays the recorded searches of MAZero's released tree through ours (see tests/golden/mazero/README.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.search.model import Expansion, Root
from trainer.search.search import Search
from trainer.search.settings import SearchSettings

FOLDER = Path(__file__).parents[1] / "golden" / "mazero"
META: dict[str, Any] = json.loads((FOLDER / "dev_meta.json").read_text())
CASES: dict[str, dict[str, Any]] = META["searches"] | META["graph"]["cases"]
OUTPUTS, SAMPLES, DATA = (dict(np.load(FOLDER / f"dev_{name}.npz")) for name in ("out64", "samples", "data"))


def recorded_settings(case: str) -> SearchSettings:
    values = CASES[case]
    draws = META["graph" if case.startswith("graph") else "dims"]["draws_per_node"]
    return SearchSettings(
        simulations=values["simulations"], samples=draws, quantile=values["rho"], decay=values["lam"], kept="float32"
    )


class RecordedDraws:
    """Noise, joint actions, and the children on the recorded paths, each of which must be as good as its best."""

    def __init__(self, case: str) -> None:
        self.case, self.node, self.compared = case, 0, 0
        self.paths = recorded_paths(case)

    def noise(self, like: Tensor, concentration: float) -> Tensor:
        return torch.from_numpy(SAMPLES[f"{self.case}.noise"]).to(like.dtype)

    def actions(self, probabilities: Tensor, samples: int) -> Tensor:
        self.node += 1
        return torch.from_numpy(SAMPLES[f"{self.case}.sampled"][:, self.node - 1].astype(np.int64))

    def child(self, tied: Tensor) -> Tensor:
        chosen, simulation = tied.argmax(-1), tied.shape[1] - 1
        children, ties = (SAMPLES[f"{self.case}.{name}"][:, simulation].tolist() for name in ("path_child", "ties"))
        for root, of_root in enumerate(self.paths):
            for level, node in enumerate(of_root[simulation]):
                chosen[root, node] = children[root][level]
                if ties[root][level]:  # a root's first visits are in order, and nothing is compared
                    assert tied[root, node, children[root][level]], f"simulation {simulation}, root {root}"
                    self.compared += 1
        return chosen


def recorded_paths(case: str) -> list[list[list[int]]]:
    """By root and simulation, the nodes from the root to the leaf's parent."""
    paths: list[list[list[int]]] = []
    for parents in SAMPLES[f"{case}.leaf_parent"].tolist():
        of_root: list[list[int]] = []
        for parent in parents:
            of_root.append([*(of_root[parent - 1] if parent else []), parent])
        paths.append(of_root)
    return paths


class Graph:
    """The scripted model: a hidden state is the number of a state [R]."""

    def __init__(self, dtype: torch.dtype, *, flat: bool) -> None:
        reward, value = ("graph.flat_reward", "graph.flat_value") if flat else ("graph.reward", "graph.value")
        self.next = torch.from_numpy(DATA["graph.next"]).long()
        self.reward, self.value, self.logits = (
            torch.from_numpy(DATA[name]).to(dtype) for name in (reward, value, "graph.logits")
        )

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        at = (hidden, *action.unbind(-1))
        state = self.next[at]
        return Expansion(hidden=state, reward=self.reward[at], value=self.value[state], logits=self.logits[state])

    def root(self) -> Root:
        start = torch.from_numpy(DATA["graph.start"]).long()
        legal = torch.from_numpy(DATA["graph.legal"]).bool()
        return Root(hidden=start, value=self.value[start], logits=self.logits[start], legal=legal)


class Replay:
    """Answers what the network did; a hidden state is the number of a node [R], and so is checked."""

    def __init__(self, case: str, dtype: torch.dtype) -> None:
        self.case, self.dtype, self.simulation = case, dtype, 0

    def output(self, name: str) -> Tensor:
        return torch.from_numpy(OUTPUTS[f"{self.case}.{name}"]).to(self.dtype)

    def step(self, hidden: Tensor, action: Tensor) -> Expansion:
        simulation = self.simulation
        self.simulation += 1
        np.testing.assert_array_equal(hidden, SAMPLES[f"{self.case}.leaf_parent"][:, simulation])
        return Expansion(
            hidden=torch.full_like(hidden, simulation + 1),
            reward=self.output("leaf_reward")[:, simulation],
            value=self.output("leaf_value")[:, simulation],
            logits=self.output("leaf_probs")[:, simulation].log(),
        )

    def root(self) -> Root:
        # What was recorded is the masked policy with its floor on legal actions, which goes out again.
        legal = torch.from_numpy(DATA["search.legal"]).bool()
        value, policy = self.output("root_pred"), self.output("root_probs")
        logits = (policy * (1 + 1e-4 * legal.sum(-1, keepdim=True)) - 1e-4).clamp(min=1e-30).log()
        return Root(hidden=torch.zeros(len(value), dtype=torch.int64), value=value, logits=logits, legal=legal)


def recorded_search(case: str, dtype: torch.dtype) -> tuple[Search, RecordedDraws]:
    """A search that will take the recorded paths."""
    model = Graph(dtype, flat=case == "graph.flat") if case.startswith("graph") else Replay(case, dtype)
    draws = RecordedDraws(case)
    return Search(model.root(), model, recorded_settings(case), draws, noise=CASES[case]["noise"]), draws
