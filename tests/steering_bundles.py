"""Scripted bundles with continuous actions, and plans that run them in `steering_team`.

As in `scripted_bundle`, everything that an agent heard and saw is added up in whole numbers, and levels of its action
and ids of its latent are these sums: with own slot `s`, k dimensions of L levels, K categoricals of C classes,

    seen     = sum over d of floor(4 * observation[d])
    mail     = sum over present slots j (own slot included, none where `first`) of
               (j + 1) * (1 + sum_d (d + 1) * level_j[d] + sum_k (k + 1) * latent_j[k])
    sum      = seen + mail + counter + (0 if greedy else floor(noise[0] * L))
    level[d] = (d + 1) * sum mod L where the agent has the dimension, otherwise that of 0
    latent[k] = (k + 1) * sum + 7 * s mod C

The policy's other outputs are the levels, and zeros for deviations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto
from scripted_bundle import RUN_ID, Graph, floor_of_noise

from coordinator.plan.plan import Plan, make_plan
from heliograph import bundle as bundles
from heliograph.actions import ContinuousActions
from heliograph.bundle import Bundle
from heliograph.codecs.message_format import MessageFormat
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.manifest import Manifest, StateTensor, sha256

ENVIRONMENT = "steering_team:make"
CATEGORICALS, CLASSES = 4, 8


def steering_bundles(*, action_bits: int = 8) -> list[Bundle]:
    """One per agent of `steering_team`."""
    world = registry.make(ENVIRONMENT, count=1, parameters={"action_bits": action_bits}, permission=EVERYTHING)
    return [
        continuous_bundle(
            slot=slot,
            team_size=world.spec.agents,
            actions=world.spec.continuous[slot],
            observation_size=world.spec.observation_size,
            environment_parameters=world.spec.parameters,
        )
        for slot in range(world.spec.agents)
    ]


def steering_plan(*, record: Path | None = None, greedy: bool = False, action_bits: int = 8, **arguments: Any) -> Plan:
    return make_plan(
        steering_bundles(action_bits=action_bits), permission=EVERYTHING, record=record, greedy=greedy, **arguments
    )


def continuous_bundle(
    *,
    slot: int,
    team_size: int,
    actions: ContinuousActions,
    observation_size: int,
    environment_parameters: dict[str, Any] | None = None,
    off_the_grid: float = 0.0,
) -> Bundle:
    """`off_the_grid` is added to each number of its actions."""
    graph = _model(
        slot=slot,
        team_size=team_size,
        actions=actions,
        observation_size=observation_size,
        off_the_grid=off_the_grid,
    )
    manifest = Manifest(
        algorithm="scripted",
        environment=ENVIRONMENT,
        environment_parameters=environment_parameters or {},
        run_id=RUN_ID,
        training_step=0,
        team_size=team_size,
        slot=slot,
        observation_size=observation_size,
        actions=actions,
        message=MessageFormat(categoricals=CATEGORICALS, classes=CLASSES),
        state=(StateTensor(name="counter", shape=(1,)),),
        noise_size=CATEGORICALS + 2 * actions.size,
        graph_sha256=sha256(graph),
        trainer_version="scripted",
    )
    return bundles.make(manifest, graph)


def _model(
    *, slot: int, team_size: int, actions: ContinuousActions, observation_size: int, off_the_grid: float
) -> bytes:
    g, levels, size = Graph(), actions.levels, actions.size
    places = g.constant(range(1, size + 1))
    seen = g.total(g.integer(g.add("Floor", g.add("Mul", "observation", g.constant(4, np.float32)))))
    again = g.integer(g.add("Not", "first"))
    kept = g.add("Mul", "state.counter", g.add("Cast", again, to=TensorProto.FLOAT))
    counter = g.add("Add", kept, g.constant([1], np.float32), output="state.counter.next")
    heard = g.integer(g.add("Round", _levels(g, "inbox_action", levels)))
    told = g.add("ReduceSum", g.add("Mul", heard, places), g.constant([1]), keepdims=0)
    ids = g.add("Mul", g.integer("inbox_latent"), g.constant(range(1, CATEGORICALS + 1)))
    said = g.plus(told, g.add("ReduceSum", ids, g.constant([1]), keepdims=0), g.constant(1))
    weighed = g.add("Mul", g.add("Mul", said, g.constant(range(1, team_size + 1))), g.integer("inbox_present"))
    mail = g.add("Mul", g.total(weighed), again)
    chance = g.total(floor_of_noise(g, start=0, count=1, range_size=levels))
    drawn = g.add("Mul", chance, g.integer(g.add("Not", "greedy")))
    score = g.plus(seen, mail, g.integer(g.total(counter)), drawn)
    level = g.add("Mod", g.add("Mul", score, places), g.constant(levels))
    own = g.add("Where", "action_mask", level, g.constant((levels - 1) // 2))
    numbers = g.add("Cast", own, to=TensorProto.FLOAT)
    doubled = g.add("Sub", g.add("Mul", numbers, g.constant(2, np.float32)), g.constant(levels - 1, np.float32))
    action = g.add("Div", doubled, g.constant(levels, np.float32))
    g.add("Add", action, g.constant(off_the_grid, np.float32), output="action")
    g.add("Concat", numbers, g.add("Mul", numbers, g.constant(0, np.float32)), output="logits", axis=0)
    steps = g.add("Mul", score, g.constant(range(1, CATEGORICALS + 1)))
    latent = g.add("Mod", g.add("Add", steps, g.constant(7 * slot)), g.constant(CLASSES))
    g.add("Cast", latent, output="latent", to=TensorProto.INT32)
    floats, integers, booleans = TensorProto.FLOAT, TensorProto.INT32, TensorProto.BOOL
    return g.model(
        [
            ("observation", floats, [observation_size]),
            ("action_mask", booleans, [size]),
            ("inbox_latent", integers, [team_size, CATEGORICALS]),
            ("inbox_action", floats, [team_size, size]),
            ("inbox_present", booleans, [team_size]),
            ("first", booleans, []),
            ("greedy", booleans, []),
            ("state.counter", floats, [1]),
            ("noise", floats, [CATEGORICALS + 2 * size]),
        ],
        [
            ("action", floats, [size]),
            ("logits", floats, [2 * size]),
            ("latent", integers, [CATEGORICALS]),
            ("state.counter.next", floats, [1]),
        ],
    )


def _levels(g: Graph, values: str, levels: int) -> str:
    """Levels of values on the grid, but for rounding: ((value + 1) * L - 1) / 2."""
    scaled = g.add("Mul", g.add("Add", values, g.constant(1, np.float32)), g.constant(levels / 2, np.float32))
    return g.add("Sub", scaled, g.constant(0.5, np.float32))
