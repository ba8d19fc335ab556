"""Hand-made bundles whose step function is easy to predict: real ONNX graphs and manifests, no training.

Axis legend: N agents, K categoricals, C classes, A actions, D observation.  All arithmetic is on integers, so a
graph run by onnxruntime and `ScriptedTwin`, its twin in plain Python, agree exactly.  With keep = 0 if `first` else 1:

    seen    = sum_d (d + 1) * floor(4 * observation[d])
    seats   = sum_j present[j] * (j + 1)
    heard   = keep * sum_j present[j] * (j + 1) * (action[j] + sum_k (k + 1) * latent[j, k])
    counter = keep * state.counter
    jitter  = 0 if greedy else floor(1024 * noise[0])
    total   = seen + seats + heard + counter + jitter
    latent[k] = (total + (slot + 1) * (k + 1)) mod C
    action    = the first legal action at or after (total + slot) mod A, cyclically
    logits[a] = -((a - total - slot) mod A) where legal, -1e10 elsewhere
    state.counter.next = (counter + heard + 1) mod 1009

So every present message, own message, observation, lost state or wrong step shows in what follows.  `seats` and
`heard` are 0 in a bundle without messages.

    bundles = scripted_team(team_size=3, observation_size=4, actions=5)              # any N, D, A, K, C
    bundles = scripted_team_for(environment.spec)                                    # for a world of the registry
    twin = ScriptedTwin(bundles[0].manifest, run_seed=7, greedy=False)
    twin.step(percept, inbox) == (action, latent ids)                                # same rules as Agent.step
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from heliograph import noise
from heliograph.bundle import Bundle, make
from heliograph.manifest import DiscreteActions, Manifest, MessageFormat, StateTensor, sha256

COUNTER_MODULUS = 1009


def scripted_bundle(
    *,
    slot: int,
    team_size: int,
    observation_size: int,
    actions: int,
    message: MessageFormat | None = MessageFormat(categoricals=4, classes=8),  # noqa: B008 (frozen)
    environment: str = "relay",
    environment_parameters: dict[str, Any] | None = None,
    run_id: str = "scripted",
    ballast_parameters: int = 0,
) -> Bundle:
    """Make the bundle of one slot.  `ballast_parameters` adds about that many weights that change nothing."""
    graph = _graph(slot, team_size, observation_size, actions, message, ballast_parameters)
    manifest = Manifest(
        algorithm="scripted",
        environment=environment,
        environment_parameters=environment_parameters or {},
        run_id=run_id,
        training_step=0,
        team_size=team_size,
        slot=slot,
        observation_size=observation_size,
        actions=DiscreteActions(count=actions),
        message=message,
        state=(StateTensor(name="counter", shape=(1,)),),
        noise_size=1,
        graph_sha256=sha256(graph),
        trainer_version="scripted",
    )
    return make(manifest, graph)


def scripted_team(*, team_size: int, **fields: Any) -> list[Bundle]:
    """Make one bundle per slot; `fields` as in `scripted_bundle`."""
    return [scripted_bundle(slot=slot, team_size=team_size, **fields) for slot in range(team_size)]


def scripted_team_for(spec: Any, **fields: Any) -> list[Bundle]:
    """Make a team for an `EnvironmentSpec`, whose parameters go into the manifests."""
    return scripted_team(
        team_size=spec.agents,
        observation_size=spec.observation_size,
        actions=spec.actions,
        environment=spec.id,
        environment_parameters=spec.parameters,
        **fields,
    )


class ScriptedTwin:
    """The same function in plain Python, with the state and own message that an Agent carries."""

    def __init__(self, manifest: Manifest, *, run_seed: int, greedy: bool) -> None:
        self.manifest, self._run_seed, self._greedy = manifest, run_seed, greedy
        self._counter = 0
        self._previous: tuple[int, int] | None = None
        self._own: tuple[int, list[int]] = (0, [])

    def step(self, percept: Any, inbox: Mapping[int, Any]) -> tuple[int, list[int]]:
        """Return (action, latent ids) for a Percept and the Messages of its inbox."""
        manifest = self.manifest
        slot, actions = manifest.slot, manifest.actions.count
        follows = not percept.first and self._previous == (percept.episode, percept.step - 1)
        seats = heard = 0
        if manifest.message is not None:
            spoken = {j: (m.action, m.latent.tolist()) for j, m in inbox.items()} if follows else {}
            present = {slot, *spoken} if follows else {slot, *percept.hears}
            spoken[slot] = self._own
            seats = sum(j + 1 for j in present)
            heard = sum(_weight(j, *spoken[j]) for j in present) if follows else 0
        counter = self._counter if follows else 0
        seen = sum((d + 1) * math.floor(4 * float(value)) for d, value in enumerate(percept.observation))
        total = seen + seats + heard + counter + self._jitter(percept)
        wanted = (total + slot) % actions
        action = next((wanted + ahead) % actions for ahead in range(actions) if percept.action_mask[(wanted + ahead) % actions])
        size = manifest.message
        latent = [] if size is None else [(total + (slot + 1) * (k + 1)) % size.classes for k in range(size.categoricals)]
        self._counter = (counter + heard + 1) % COUNTER_MODULUS
        self._previous, self._own = (percept.episode, percept.step), (action, latent)
        return action, latent

    def _jitter(self, percept: Any) -> int:
        if self._greedy:
            return 0
        draw = noise.uniform(
            run_seed=self._run_seed, slot=self.manifest.slot, episode=percept.episode, step=percept.step, size=1
        )
        return math.floor(1024 * float(draw[0]))


def _weight(slot: int, action: int, latent: list[int]) -> int:
    return (slot + 1) * (action + sum((k + 1) * class_id for k, class_id in enumerate(latent)))


class _Graph:
    """Collects nodes and constants; every operation returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=dtype), name))
        return name

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def integers(self, name: str) -> str:
        return self.op("Cast", name, to=TensorProto.INT64)

    def total(self, name: str, axis: int = 0) -> str:
        return self.op("ReduceSum", name, self.constant([axis]), keepdims=0)


def _graph(
    slot: int, agents: int, observation: int, actions: int, message: MessageFormat | None, ballast: int
) -> bytes:
    graph = _Graph()
    inputs = [_value("observation", TensorProto.FLOAT, [observation]), _value("action_mask", TensorProto.BOOL, [actions])]
    outputs = []
    keep = graph.op("Sub", graph.constant(1), graph.integers("first"))
    quarters = graph.integers(graph.op("Floor", graph.op("Mul", "observation", graph.constant(4, np.float32))))
    total = graph.total(graph.op("Mul", quarters, graph.constant(np.arange(1, observation + 1))))
    counter = graph.op("Mul", keep, graph.op("Squeeze", graph.integers("state.counter"), graph.constant([0])))
    heard = graph.constant(0)
    if message is not None:
        inputs += [
            _value("inbox_latent", TensorProto.INT32, [agents, message.categoricals]),
            _value("inbox_action", TensorProto.INT32, [agents]),
            _value("inbox_present", TensorProto.BOOL, [agents]),
        ]
        outputs.append(_value("latent", TensorProto.INT32, [message.categoricals]))
        seats = graph.op("Mul", graph.integers("inbox_present"), graph.constant(np.arange(1, agents + 1)))  # [N]
        places = graph.constant(np.arange(1, message.categoricals + 1))
        spoken = graph.total(graph.op("Mul", graph.integers("inbox_latent"), places), axis=1)  # [N]
        spoken = graph.op("Add", spoken, graph.integers("inbox_action"))
        heard = graph.op("Mul", keep, graph.total(graph.op("Mul", seats, spoken)))
        total = graph.op("Add", total, graph.op("Add", graph.total(seats), heard))
    thousandths = graph.op("Floor", graph.op("Mul", "noise", graph.constant(1024, np.float32)))
    draw = graph.op("Squeeze", graph.integers(thousandths), graph.constant([0]))
    jitter = graph.op("Where", "greedy", graph.constant(0), draw)
    total = graph.op("Add", total, graph.op("Add", counter, jitter))
    if message is not None:
        shifts = graph.constant([(slot + 1) * (k + 1) for k in range(message.categoricals)])
        ids = graph.op("Mod", graph.op("Add", total, shifts), graph.constant(message.classes))
        graph.op("Cast", ids, to=TensorProto.INT32, output="latent")
    offsets = graph.op("Sub", graph.constant(np.arange(actions)), graph.op("Add", total, graph.constant(slot)))
    distance = graph.op("Cast", graph.op("Mod", offsets, graph.constant(actions)), to=TensorProto.FLOAT)
    scores = graph.op("Neg", distance)
    if ballast:
        scores = graph.op("Add", scores, _ballast(graph, observation, ballast))
    graph.op("Where", "action_mask", scores, graph.constant(-1e10, np.float32), output="logits")
    best = graph.op("ArgMax", "logits", axis=0, keepdims=0)
    graph.op("Cast", best, to=TensorProto.INT32, output="action")
    onward = graph.op("Add", graph.op("Add", counter, heard), graph.constant(1))
    onward = graph.op("Mod", onward, graph.constant(COUNTER_MODULUS))
    onward = graph.op("Cast", onward, to=TensorProto.FLOAT)
    graph.op("Reshape", onward, graph.constant([1]), output="state.counter.next")
    inputs += [
        _value("first", TensorProto.BOOL, []),
        _value("greedy", TensorProto.BOOL, []),
        _value("state.counter", TensorProto.FLOAT, [1]),
        _value("noise", TensorProto.FLOAT, [1]),
    ]
    outputs += [
        _value("action", TensorProto.INT32, []),
        _value("logits", TensorProto.FLOAT, [actions]),
        _value("state.counter.next", TensorProto.FLOAT, [1]),
    ]
    built = helper.make_graph(graph.nodes, "scripted", inputs, outputs, initializer=graph.constants)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def _ballast(graph: _Graph, observation: int, parameters: int) -> str:
    """Layers of 1024 x 1024 weights on the observation whose result is clipped to exactly 0."""
    width = 1024
    draws = np.random.default_rng(0)
    value = graph.op("Reshape", "observation", graph.constant([1, observation]))
    value = graph.op("MatMul", value, graph.constant(draws.standard_normal((observation, width)) / width, np.float32))
    for _ in range(max(1, round(parameters / width**2))):
        weights = draws.standard_normal((width, width), dtype=np.float32) / width
        value = graph.op("MatMul", graph.op("Relu", value), graph.constant(weights, np.float32))
    magnitude = graph.op("ReduceSum", graph.op("Abs", value), keepdims=0)
    return graph.op("Min", magnitude, graph.constant(0, np.float32))


def _value(name: str, kind: int, shape: list[int]) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)
