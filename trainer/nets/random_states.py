"""The states of torch's random generators: of the CPU, and of every accelerator, whichever of them a run uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from heliograph.stopping import Stopped


def random_states() -> dict[str, Tensor]:
    """By the name of the device: `cpu`, `cuda.0`, `cuda.1`, ..."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{number}": state for number, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def restore_random_states(states: Mapping[str, Tensor]) -> None:
    """Take over states of before; those of accelerators that are not here are left out.

    `cuda` is that of the current one, which is all that older checkpoints have.  Raises KeyError without one of the
    CPU, and RuntimeError if one is no state.
    """
    torch.set_rng_state(states["cpu"])
    if not torch.cuda.is_available():
        return
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    for number in range(torch.cuda.device_count()):
        if (state := states.get(f"cuda.{number}")) is not None:
            torch.cuda.set_rng_state(state, number)


@contextmanager
def drawn_again_if_stopped(random: np.random.Generator) -> Iterator[None]:
    """If what is inside is left by Stopped, `random` and torch's generators are as they were before it, so that whoever
    does it once more draws the same numbers."""
    before, states = random.bit_generator.state, random_states()
    try:
        yield
    except Stopped:
        random.bit_generator.state = before
        restore_random_states(states)
        raise


def never() -> None:
    """A check for a stop that nobody asks for."""


Check = Callable[[], None]
"""Raises Stopped if a stop was asked for."""
