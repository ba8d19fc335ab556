"""Bringing an environment back to where it stood: every running episode is played again from its seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from heliograph.environments.vector import AgentInputs, EnvironmentSpec, VectorEnvironment


def rewind(
    environment: VectorEnvironment, seeds: npt.NDArray[Any], actions: list[npt.NDArray[Any]]
) -> tuple[AgentInputs, npt.NDArray[np.bool_]]:
    """Play `actions[copy]` [n, N, ...] of the episode with seed `seeds[copy]` in every copy, each with an n of its own.

    Returns the inputs of all copies, and bool [E] which of them could be played to the end: an episode that does not
    repeat itself from its seed may refuse an action, or be over too early.

    All copies step together, so the shorter an episode, the later its copy is reset to it; until then it plays legal
    actions of an episode that does not matter, and so does one that could not be repeated.
    """
    lengths = np.array([len(done) for done in actions])
    longest = int(lengths.max())
    faithful = np.ones(environment.count, dtype=bool)
    agent_inputs = environment.reset(seeds)
    for step in range(longest):
        left = longest - step
        if step and (starting := np.flatnonzero(lengths == left)).size:
            agent_inputs = environment.reset(seeds[starting], starting)
        joint = _some_legal(environment.spec, agent_inputs.action_mask)
        for copy in np.flatnonzero((lengths >= left) & faithful):
            wanted = actions[copy][lengths[copy] - left]
            faithful[copy] = _legal(environment.spec, wanted, agent_inputs.action_mask[copy])
            if faithful[copy]:
                joint[copy] = wanted
        transition = environment.step(joint)
        agent_inputs = transition.agent_inputs
        faithful &= ~(transition.over & (lengths >= left))
        if (over := np.flatnonzero(transition.over)).size:
            agent_inputs = environment.reset(seeds[over], over)
    fresh = np.flatnonzero(lengths == 0)
    if longest and fresh.size:
        agent_inputs = environment.reset(seeds[fresh], fresh)
    return agent_inputs, faithful


def _some_legal(spec: EnvironmentSpec, mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Legal actions [E, N, ...] for masks bool [E, N, A]."""
    legal = spec.rows.drawn(np.full(mask.shape, 0.5), mask)
    return legal.astype(np.float32) if spec.rows.size else legal


def _legal(spec: EnvironmentSpec, wanted: npt.NDArray[Any], mask: npt.NDArray[Any]) -> bool:
    """Whether a joint action [N, ...] is, by a mask bool [N, A]; vectors are whatever they are."""
    if spec.continuous:
        return True
    choice = wanted[:, 0].astype(np.int64) if spec.mixed else wanted
    return bool(np.take_along_axis(mask, choice[:, None], axis=1).all())
