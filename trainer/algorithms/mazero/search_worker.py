"""The child side of reanalysis: a process that searches with the weights that it was last sent, until its pipe closes.

Axis legend: M rows, N agents, X what an agent sees, A actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from heliograph.environments.vector import EnvironmentSpec
from heliograph.environments.workers.process import connected
from trainer.algorithms.mazero.found import found_by
from trainer.algorithms.mazero.model import MazeroModel
from trainer.algorithms.mazero.planning import PlanningModel, planned
from trainer.algorithms.mazero.settings import MazeroSettings
from trainer.search.draws import RandomDraws

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Searcher:
    """What a worker is, sent to it first; it answers None once it can be asked."""

    settings: MazeroSettings
    spec: EnvironmentSpec


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """Rows to search, with noise; answered with the arrays of a `Found`, [M, ...] each, or a `SearchFailure`."""

    weights: Arrays | None
    """Of the network, where they are others than the worker's last ones."""
    seen: npt.NDArray[np.float32]
    """[M, N, X]."""
    legal: npt.NDArray[np.bool_]
    """[M, N, A]."""
    seed: int
    """Of all that the searches draw."""


@dataclass(frozen=True, kw_only=True)
class SearchFailure:
    """What the search has raised, in a line."""

    reason: str


def main(descriptor: int) -> None:
    """Serve on the inherited end of a pipe, given by its descriptor, until its other end closes."""
    connection = connected(descriptor)
    torch.set_num_threads(1)  # as many processes as cores are what makes it fast
    try:
        searcher: Searcher = connection.recv()
        model = MazeroModel(searcher.settings.model, searcher.spec).eval().requires_grad_(False)
        connection.send(None)
        while isinstance(request := connection.recv(), SearchRequest):
            connection.send(_answer(model, request, searcher.settings))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone, and nobody is left to tell


def _answer(model: MazeroModel, request: SearchRequest, settings: MazeroSettings) -> Arrays | SearchFailure:
    try:
        return search(model, request, settings)
    except Exception as error:  # the parent must learn of whatever it is
        return SearchFailure(reason=f"{type(error).__name__}: {error}")


def search(model: MazeroModel, request: SearchRequest, settings: MazeroSettings) -> Arrays:
    """What searches of the request find, after the model has taken over its weights."""
    if request.weights is not None:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in request.weights.items()})
    planning = PlanningModel(model=model)
    root = planning.root(torch.from_numpy(request.seen), torch.from_numpy(request.legal))
    draws = RandomDraws(torch.Generator().manual_seed(request.seed))
    found = found_by(planned(planning, root, settings.search, draws, noise=True).result(), settings.search)
    return {name: value.numpy() for name, value in vars(found).items()}
