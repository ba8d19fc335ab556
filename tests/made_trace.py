"""Traces made by hand, for the tests of what is read out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from coordinator.recording.reader import Trace, TraceEpisode
from coordinator.recording.schema import TraceHeader
from heliograph.codecs.message_format import MessageFormat


def made_trace(latents: np.ndarray, *, classes: int, **parts: Any) -> Trace:
    """A trace in which everybody hears everybody, of ids [E, T, N, K] (E episodes).

    `parts`: `observation` [E, T, N, D], `state` [E, T, S], `hears` [E, T, N, N], names, anything else of the header.
    """
    episodes, steps, agents, categoricals = latents.shape
    observation = parts.pop("observation", np.zeros((episodes, steps, agents, 1), dtype=np.float32))
    state = parts.pop("state", None)
    everyone = np.broadcast_to(~np.eye(agents, dtype=bool), (episodes, steps, agents, agents))
    hears = parts.pop("hears", everyone)
    header = {
        "environment": "made",
        "parameters": {},
        "algorithm": "made",
        "run_seed": 0,
        "greedy": True,
        "late_policy": "mask",
        "codec": "bit-packed",
        "channel": None,
        "agents": agents,
        "observation_size": observation.shape[-1],
        "actions": 5,
        "state_size": 0 if state is None else state.shape[-1],
        "message": MessageFormat(categoricals=categoricals, classes=classes),
        "recurrent_size": 0,
        "bundles": ("0" * 64,) * agents,
        "tables": None,
        "observation_names": (),
        "state_names": (),
    }
    nobody = np.zeros((steps, agents, agents), dtype=bool)
    return Trace(
        header=TraceHeader(**header | parts),
        episodes=tuple(
            TraceEpisode(
                pass_name="open",
                episode=episode,
                seed=episode,
                outcome=0.0,
                team_return=0.0,
                present=np.ones((steps, agents), dtype=bool),
                observation=observation[episode].astype(np.float32),
                action_mask=np.ones((steps, agents, 5), dtype=bool),
                hears=hears[episode].copy(),
                masked=nobody,
                lost=nobody,
                delay=nobody.astype(np.int64),
                acted=np.ones((steps, agents), dtype=bool),
                action=np.zeros((steps, agents), dtype=np.int64),
                reward=np.zeros((steps, agents), dtype=np.float32),
                latent=latents[episode].astype(np.int32),
                state=None if state is None else state[episode].astype(np.float32),
            )
            for episode in range(episodes)
        ),
    )
