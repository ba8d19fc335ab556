"""Small real bundles whose step function is easy to predict: the exact oracle of the node and coordinator tests.

`scripted_bundle` builds an ONNX graph by hand; `predict` says in plain numpy what that graph must answer, given what
the agent really got.  All sums are of integers, so equality is exact.  With own slot `s`, K categoricals of C
classes, A actions, and everything of the inbox zero where `first`:

    seen    = sum over d of floor(4 * observation[d])
    mail    = sum over present slots j (own slot included) of (j + 1) * (1 + 3 * action_j + sum_k (k + 1) * latent_j[k])
              where the bundle `predicts`, of (j + 1) * (1 + 7 * age_j + …)
    counter = 1 if first else counter + 1                                          (the float32 state tensor, shape [1])
    chance  = 0 if greedy else floor(noise[0] * A)
    score   = seen + mail + counter + chance + training step
    logits[a] = -((a - score) mod A) - (0 if legal else 1000)
    action  = argmax logits: the first legal action at or after `score mod A`, cyclically
    latent[k] = (seen + mail + counter * (k + 1) + 7 * s + (0 if greedy else floor(noise[1 + k] * C))) mod C
              (mod C - 1 of those who may leave ids unsaid, but say them all)

So a message that was lost, added, reordered, read a step too late or fed into the wrong slot changes actions and
latents, and through them everything that follows.  Without messages, `mail` is 0 and there is no latent.

`ballast_parameters` adds a dense layer of that many float32 weights that is computed and multiplied by zero: a
graph with the weight of a real model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heliograph import bundle as bundles
from heliograph.actions import DiscreteActions
from heliograph.bundle import Bundle
from heliograph.codecs import LatentTables
from heliograph.codecs.message_format import MessageFormat
from heliograph.manifest import (
    FORMAT_VERSION,
    HOLDING_VERSION,
    PREDICTING_VERSION,
    PREFIX_VERSION,
    Manifest,
    StateTensor,
    sha256,
)

RUN_ID = "scripted-run"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the graph answers for one step; `latent` is None without messages."""

    action: int
    latent: tuple[int, ...] | None
    logits: np.ndarray
    counter: int


def predict(
    manifest: Manifest,
    *,
    observation: np.ndarray,
    action_mask: np.ndarray,
    inbox: Mapping[int, tuple[tuple[int, ...], int]],
    counter: int,
    first: bool,
    greedy: bool,
    noise: np.ndarray,
) -> Prediction:
    """Evaluate the documented function.

    `inbox` maps each present slot, the own one included, to (latent ids, action); it is ignored where `first`, except
    that the own slot is then present with zeros.
    """
    actions, message = manifest.actions.count, manifest.message
    seen = int(np.floor(observation * np.float32(4)).astype(np.int64).sum())
    counter = 1 if first else counter + 1
    mail = 0
    if message is not None:
        heard = {manifest.slot: ((0,) * message.categoricals, 0)} if first else inbox
        mail = sum(
            (slot + 1) * (1 + 3 * action + sum((k + 1) * class_id for k, class_id in enumerate(latent)))
            for slot, (latent, action) in heard.items()
        )
    chance = 0 if greedy else math.floor(noise[0] * np.float32(actions))
    score = seen + mail + counter + chance + manifest.training_step
    logits = np.array(
        [-((a - score) % actions) - (0 if action_mask[a] else 1000) for a in range(actions)], dtype=np.float32
    )
    latent = None
    if message is not None:
        latent = tuple(
            (
                seen
                + mail
                + counter * (k + 1)
                + 7 * manifest.slot
                + (0 if greedy else math.floor(noise[1 + k] * np.float32(message.classes)))
            )
            % _said_classes(message)
            for k in range(message.categoricals)
        )
    return Prediction(action=int(np.argmax(logits)), latent=latent, logits=logits, counter=counter)


def scripted_team(*, team_size: int, **arguments: Any) -> list[Bundle]:
    """One scripted bundle per slot; `arguments` as for `scripted_bundle`."""
    return [scripted_bundle(slot=slot, team_size=team_size, **arguments) for slot in range(team_size)]


def save_team(team: list[Bundle], folder: Path) -> Path:
    """Write `agent-0 …` into `folder`, as `heliograph.bundle.load_team` and `heliograph run` read them."""
    for slot, bundle in enumerate(team):
        bundle.save(folder / f"agent-{slot}")
    return folder


def scripted_bundle(
    *,
    slot: int,
    team_size: int,
    categoricals: int = 4,
    classes: int = 8,
    actions: int = 5,
    observation_size: int = 6,
    messages: bool = True,
    environment: str = "relay",
    environment_parameters: dict[str, Any] | None = None,
    run_id: str = RUN_ID,
    ballast_parameters: int = 0,
    tables: LatentTables | None = None,
    training_step: int = 0,
    predicts: str | None = None,
    prefix: bool = False,
    holds: bool = False,
) -> Bundle:
    """Build the bundle of one slot, with the function of the module docstring.

    With `prefix` its messages say only their first ids; its own say all of them.
    """
    message = MessageFormat(categoricals=categoricals, classes=classes, prefix=prefix) if messages else None
    newer = ((PREFIX_VERSION, prefix), (PREDICTING_VERSION, predicts is not None), (HOLDING_VERSION, holds))
    graph = _model(
        slot=slot,
        team_size=team_size,
        message=message,
        actions=actions,
        observation_size=observation_size,
        ballast_parameters=ballast_parameters,
        training_step=training_step,
        predicts=predicts is not None,
    )
    manifest = Manifest(
        format_version=max((version for version, has in newer if has), default=FORMAT_VERSION),
        algorithm="scripted",
        environment=environment,
        environment_parameters=environment_parameters or {},
        run_id=run_id,
        training_step=training_step,
        team_size=team_size,
        slot=slot,
        observation_size=observation_size,
        actions=DiscreteActions(count=actions),
        message=message,
        predicts=predicts,
        holds=holds,
        state=(StateTensor(name="counter", shape=(1,)),),
        noise_size=1 + (categoricals if messages else 0),
        graph_sha256=sha256(graph),
        tables_sha256=None if tables is None else tables.sha256,
        trainer_version="scripted",
    )
    return bundles.make(manifest, graph, tables)


def _said_classes(message: MessageFormat) -> int:
    """Those that stand for an id that is said."""
    return message.classes - message.prefix


class Graph:
    """Nodes and constants in the making; every method adds one node and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def integer(self, value: str) -> str:
        return self.add("Cast", value, to=TensorProto.INT64)

    def total(self, value: str) -> str:
        return self.add("ReduceSum", value, keepdims=0)

    def plus(self, *values: str) -> str:
        result = values[0]
        for value in values[1:]:
            result = self.add("Add", result, value)
        return result

    def model(self, inputs: list[tuple], outputs: list[tuple]) -> bytes:
        """The graph as a file; inputs and outputs are (name, type, shape)."""
        graph = helper.make_graph(
            self.nodes,
            "scripted",
            [helper.make_tensor_value_info(*value) for value in inputs],
            [helper.make_tensor_value_info(*value) for value in outputs],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def _model(
    *,
    slot: int,
    team_size: int,
    message: MessageFormat | None,
    actions: int,
    observation_size: int,
    ballast_parameters: int,
    training_step: int,
    predicts: bool,
) -> bytes:
    g = Graph()
    seen = g.total(g.integer(g.add("Floor", g.add("Mul", "observation", g.constant(4, np.float32)))))
    again = g.integer(g.add("Not", "first"))  # 1 where the episode goes on
    float_again = g.add("Cast", again, to=TensorProto.FLOAT)
    sampled = g.integer(g.add("Not", "greedy"))
    kept = g.add("Mul", "state.counter", float_again)
    next_counter = g.add("Add", kept, g.constant([1], np.float32), output="state.counter.next")
    counter = g.integer(g.total(next_counter))
    mail = g.constant(0)
    if message is not None:
        mail = _mail(g, slot=slot, team_size=team_size, message=message, again=again, predicts=predicts)
    chance = floor_of_noise(g, start=0, count=1, range_size=actions)
    score = g.plus(seen, mail, counter, g.add("Mul", g.total(chance), sampled))
    if training_step:
        score = g.plus(score, g.constant(training_step))
    distance = g.add("Mod", g.add("Sub", g.constant(range(actions)), score), g.constant(actions))
    penalty = g.add("Mul", g.integer(g.add("Not", "action_mask")), g.constant(1000))
    scores = g.add("Cast", g.add("Neg", g.plus(distance, penalty)), to=TensorProto.FLOAT)
    if ballast_parameters:
        scores = g.add("Add", scores, _ballast(g, observation_size=observation_size, parameters=ballast_parameters))
    g.add("Identity", scores, output="logits")
    g.add("Cast", g.add("ArgMax", "logits", axis=0, keepdims=0), output="action", to=TensorProto.INT32)

    floats, integers, booleans = TensorProto.FLOAT, TensorProto.INT32, TensorProto.BOOL
    inputs = [("observation", floats, [observation_size]), ("action_mask", booleans, [actions])]
    outputs = [("action", integers, []), ("logits", floats, [actions]), ("state.counter.next", floats, [1])]
    noise_size = 1
    if message is not None:
        categoricals, classes = message.categoricals, message.classes
        noise_size += categoricals
        steps = g.add("Mul", counter, g.constant(range(1, categoricals + 1)))
        draws = g.add("Mul", floor_of_noise(g, start=1, count=categoricals, range_size=classes), sampled)
        ids = g.add("Mod", g.plus(seen, mail, steps, g.constant(7 * slot), draws), g.constant(_said_classes(message)))
        g.add("Cast", ids, output="latent", to=TensorProto.INT32)
        outputs.append(("latent", integers, [categoricals]))
        inputs += [
            ("inbox_latent", integers, [team_size, categoricals]),
            ("inbox_action", integers, [team_size]),
            ("inbox_present", booleans, [team_size]),
        ]
        if predicts:
            inputs.append(("inbox_age", integers, [team_size]))
    inputs += [("first", booleans, []), ("greedy", booleans, []), ("state.counter", floats, [1])]
    inputs.append(("noise", floats, [noise_size]))
    return g.model(inputs, outputs)


def _mail(g: Graph, *, slot: int, team_size: int, message: MessageFormat, again: str, predicts: bool) -> str:
    """The weighted sum over the present slots of what they sent; where `first`, of the own zeros alone."""
    weights = g.constant(range(1, message.categoricals + 1))
    words = g.add("ReduceSum", g.add("Mul", g.integer("inbox_latent"), weights), g.constant([1]), keepdims=0)
    content = g.add("Add", words, g.add("Mul", g.integer("inbox_action"), g.constant(3)))
    if predicts:
        content = g.add("Add", content, g.add("Mul", g.integer("inbox_age"), g.constant(7)))
    places = g.constant(range(1, team_size + 1))
    spoken = g.total(
        g.add("Mul", g.add("Mul", g.add("Add", content, g.constant(1)), places), g.integer("inbox_present"))
    )
    at_first = g.add("Mul", g.add("Sub", g.constant(1), again), g.constant(slot + 1))
    return g.add("Add", g.add("Mul", spoken, again), at_first)


def floor_of_noise(g: Graph, *, start: int, count: int, range_size: int) -> str:
    part = g.add("Slice", "noise", g.constant([start]), g.constant([start + count]))
    return g.integer(g.add("Floor", g.add("Mul", part, g.constant(range_size, np.float32))))


def _ballast(g: Graph, *, observation_size: int, parameters: int) -> str:
    width = 512
    rows = max(1, parameters // width)
    generator = np.random.default_rng(0)
    spread = g.constant(generator.standard_normal((observation_size, rows)) * 1e-3, np.float32)
    dense = g.constant(generator.standard_normal((rows, width)) * 1e-3, np.float32)
    value = g.add("MatMul", g.add("Unsqueeze", "observation", g.constant([0])), spread)
    value = g.add("Tanh", g.add("MatMul", value, dense))
    return g.add("Mul", g.total(value), g.constant(0, np.float32))
