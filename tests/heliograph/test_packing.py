"""Policies of other trainers in bundles: they say what the graph says, act by mask and noise, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from foreign_policies import gru, mlp
from onnx import TensorProto, helper, numpy_helper

from agent_node.step_function import StepFunction
from heliograph import noise
from heliograph.actions import ContinuousActions
from heliograph.bundle import Bundle, load_team
from heliograph.environments import registry
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import BundleCorrupt, BundleMismatch, SettingsError
from heliograph.packing import comparison
from heliograph.packing.api import pack, packed
from heliograph.packing.naming import TensorNames, tensor_names

SPEC = registry.make("relay", count=1, parameters={"agents": 2}).spec
SIZE, ACTIONS = SPEC.observation_size, SPEC.actions
LOGITS = TensorNames(observation="obs", logits="logits")
RECURRENT = TensorNames(observation="obs", logits="logits", state={"h": "h_out"}, append_id=True)


def team(graph: bytes, names: TensorNames, spec: EnvironmentSpec = SPEC, **given: Any) -> list[Bundle]:
    told = {"fixed": {}, "algorithm": "other", "run_id": None, "training_step": 0} | given
    return packed([graph] * spec.agents, spec, names, **told)


def fed(bundle: Bundle, random: np.random.Generator, **given: Any) -> dict[str, np.ndarray]:
    """A step's inputs, at random where they are not given."""
    manifest = bundle.manifest
    return {
        "observation": random.standard_normal(manifest.observation_size).astype(np.float32),
        "action_mask": np.ones(manifest.actions.mask_size, dtype=np.bool_),
        "first": np.array(False),
        "greedy": np.array(False),
        "noise": noise.uniform(
            run_seed=1, slot=0, episode=0, step=int(random.integers(9999)), size=manifest.noise_size
        ),
        **{f"state.{state.name}": np.zeros(state.shape, np.float32) for state in manifest.state},
    } | given


def raw(graph: bytes, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def test_logits_are_those_of_the_graph_and_actions_follow_them() -> None:
    graph = mlp(SIZE, {"logits": ACTIONS})
    step = StepFunction(team(graph, LOGITS)[1])
    random = np.random.default_rng(0)
    inputs = fed(team(graph, LOGITS)[1], random)
    expected = raw(graph, obs=inputs["observation"][None])["logits"][0]
    shares = np.exp(expected - expected.max()) / np.exp(expected - expected.max()).sum()
    taken = np.zeros(ACTIONS)
    for number in range(2000):
        drawn = inputs | {"noise": noise.uniform(run_seed=2, slot=0, episode=0, step=number, size=1)}
        answer = step(drawn)
        taken[int(answer["action"])] += 1
    np.testing.assert_allclose(answer["logits"], expected, atol=1e-6)
    np.testing.assert_allclose(taken / 2000, shares, atol=0.05)
    assert int(step(inputs | {"greedy": np.array(True)})["action"]) == int(expected.argmax())


def test_what_is_illegal_is_never_taken() -> None:
    graph = mlp(SIZE, {"logits": ACTIONS})
    bundle = team(graph, LOGITS)[0]
    step, random = StepFunction(bundle), np.random.default_rng(1)
    for _ in range(200):
        mask = random.random(ACTIONS) < 0.3
        mask[random.integers(ACTIONS)] = True
        for greedy in (False, True):
            assert mask[int(step(fed(bundle, random, action_mask=mask, greedy=np.array(greedy)))["action"])]


def test_a_recurrent_policy_keeps_its_state_and_begins_anew_at_first_steps() -> None:
    graph = gru(SIZE + SPEC.agents, ACTIONS)
    bundle = team(graph, RECURRENT)[1]
    assert [(state.name, state.shape) for state in bundle.manifest.state] == [("h", (1, 1, 6))]
    step, random = StepFunction(bundle), np.random.default_rng(2)
    state = np.zeros((1, 1, 6), dtype=np.float32)
    for number in range(6):
        first = number in (0, 4)
        # At a first step whatever is there must not matter.
        inputs = fed(
            bundle, random, first=np.array(first), **{"state.h": np.full_like(state, np.nan) if first else state}
        )
        observed = np.concatenate([inputs["observation"], [0, 1]]).astype(np.float32)
        expected = raw(graph, obs=observed[None, None], h=np.zeros_like(state) if first else state)
        answer = step(inputs)
        np.testing.assert_allclose(answer["logits"], expected["logits"][0, 0], atol=1e-6)
        np.testing.assert_allclose(answer["state.h.next"], expected["h_out"], atol=1e-6)
        state = answer["state.h.next"]


BOX = ContinuousActions(low=(-2.0, 0.0, 0.0), high=(2.0, 1.0, 0.0), bits=10)
STEERED = EnvironmentSpec(
    **{"id": "relay", "agents": 2, "observation_size": 4, "actions": 3, "continuous": (BOX, BOX)},
    **{"episode_limit": 9, "complete_graph": True, "outcome": "return", "has_action_mask": True},
)


@pytest.mark.parametrize("given", [3, 2])  # as many as the team's widest agent has, or its own
@pytest.mark.parametrize("deviation_is", ["scale", "log"])
@pytest.mark.parametrize("squash", ["tanh", "clip"])
def test_a_gaussian_acts_in_units_of_its_bounds(squash: Any, deviation_is: Any, given: int) -> None:
    names = TensorNames(observation="obs", mean="mu", deviation="sigma", squash=squash, deviation_is=deviation_is)
    graph = mlp(4, {"mu": given, "sigma": given})
    bundle = team(graph, names, STEERED)[0]
    step, random = StepFunction(bundle), np.random.default_rng(5)
    mask = np.array([True, True, False])
    inputs = fed(bundle, random, action_mask=mask)
    told = raw(graph, obs=inputs["observation"][None])
    mean, sigma = (np.pad(told[name][0], (0, 3 - given)) for name in ("mu", "sigma"))
    deviation = sigma if deviation_is == "scale" else np.exp(sigma)
    for greedy in (True, False):
        draws = inputs["noise"].astype(np.float64)
        normal = np.sqrt(-2 * np.log(draws[:3])) * np.cos(2 * np.pi * draws[3:])
        value = mean + (0 if greedy else deviation * normal)
        units = np.tanh(value) if squash == "tanh" else BOX.unscaled(value)
        answer = step(inputs | {"greedy": np.array(greedy)})
        assert BOX.is_legal(answer["action"], mask)
        assert np.abs(answer["action"] - BOX.snapped(units))[:2].max() <= 2 / BOX.levels + 1e-6
        np.testing.assert_allclose(answer["logits"][[0, 1, 3, 4]], np.concatenate([mean[:2], sigma[:2]]), atol=1e-6)


def test_a_gaussian_that_is_no_number_is_refused() -> None:
    graph = mlp(4, {"mu": 3, "sigma": 3})
    names = TensorNames(observation="obs", mean="mu", deviation="sigma")
    for weights in ("to mu", "to sigma"):
        with pytest.raises(BundleCorrupt, match="slot 0 puts out infinity or what is no number"):
            team(without_a_number(graph, weights), names, STEERED)


def test_normals_of_the_noise_are_normal() -> None:
    names = TensorNames(observation="obs", mean="mu", deviation="sigma", squash="clip")
    weights = mlp(4, {"mu": 3, "sigma": 3})
    model = onnx.load_model_from_string(weights)
    for tensor in model.graph.initializer:  # a mean of 0 and a deviation of 0.4
        if tensor.name == "to mu":
            tensor.raw_data = bytes(len(tensor.raw_data))
    model.graph.node[-1].CopyFrom(
        helper.make_node("Constant", [], ["sigma"], value=helper.make_tensor("", TensorProto.FLOAT, [1, 3], [0.4] * 3))
    )
    bundle = team(model.SerializeToString(), names, STEERED)[0]
    step, random = StepFunction(bundle), np.random.default_rng(6)
    drawn = np.stack([step(fed(bundle, random))["action"] for _ in range(2000)])[:, 0] * 2
    assert abs(drawn.mean()) < 0.04
    assert abs(drawn.std() - 0.4) < 0.03


def test_dimensions_that_are_open_are_fixed_by_name() -> None:
    graph = mlp(SIZE, {"logits": ACTIONS}, batch="batch")
    with pytest.raises(BundleMismatch, match=r"leaves its dimension 0 open \(batch\).*--fix batch=1"):
        team(graph, LOGITS)
    assert len(team(graph, LOGITS, fixed={"batch": 1})) == 2
    with pytest.raises(BundleMismatch, match=r"no graph leaves a dimension 'rows' open.*: batch"):
        team(graph, LOGITS, fixed={"batch": 1, "rows": 1})


def with_external_weights() -> bytes:
    model = onnx.load_model_from_string(mlp(SIZE, {"logits": ACTIONS}))
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model.SerializeToString()


def of_another_domain() -> bytes:
    model = onnx.load_model_from_string(mlp(SIZE, {"logits": ACTIONS}))
    model.graph.node[1].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model.SerializeToString()


def with_random_numbers() -> bytes:
    model = onnx.load_model_from_string(mlp(SIZE, {"logits": ACTIONS}))
    model.graph.node[1].CopyFrom(helper.make_node("RandomNormalLike", ["inner"], ["hidden"]))
    return model.SerializeToString()


def of_no_declared_domain() -> bytes:
    model = onnx.load_model_from_string(mlp(SIZE, {"logits": ACTIONS}))
    model.graph.node[1].domain = "nowhere"
    return model.SerializeToString()


def with_input(name: str, graph: bytes, *, kind: int = TensorProto.FLOAT, rows: int = 1) -> bytes:
    """Of another type, and of so many rows; what comes out is of no told shape."""
    model = onnx.load_model_from_string(graph)
    (tensor,) = (value.type.tensor_type for value in model.graph.input if value.name == name)
    tensor.elem_type = kind
    tensor.shape.dim[0].dim_value = rows
    model.graph.node[0].op_type = "Unknown"
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model.SerializeToString()


def without_a_number(graph: bytes, weights: str) -> bytes:
    """As a training leaves it that has diverged."""
    model = onnx.load_model_from_string(graph)
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == weights)
    values = numpy_helper.to_array(tensor).copy()
    values[0, 1] = np.nan
    tensor.CopyFrom(numpy_helper.from_array(values, weights))
    return model.SerializeToString()


GOOD = mlp(SIZE, {"logits": ACTIONS})
STATEFUL = TensorNames(observation="obs", logits="logits", state={"h": "h_out"})


@pytest.mark.parametrize(
    ("graph", "names", "kind", "complaint"),
    [
        (b"no graph at all", LOGITS, BundleCorrupt, "the graph is no ONNX graph"),
        (GOOD, TensorNames(observation="o", logits="logits"), BundleMismatch, "has no input 'o'. Its inputs are obs"),
        (GOOD, TensorNames(observation="obs", logits="q"), BundleMismatch, "has no output 'q'. Its outputs are logits"),
        (gru(SIZE, ACTIONS), LOGITS, BundleMismatch, "inputs that nothing says the meaning of: h.*obs, h"),
        (mlp(SIZE + 1, {"logits": ACTIONS}), LOGITS, BundleMismatch, f"takes {SIZE + 1} numbers.* has {SIZE}"),
        (mlp(SIZE + 2, {"logits": ACTIONS}), LOGITS, BundleMismatch, "Try --append-id"),
        (mlp(SIZE, {"logits": 7}), LOGITS, BundleMismatch, rf"shape \[1, 7\], {ACTIONS} numbers are expected"),
        (mlp(SIZE, {"m": 5}), TensorNames(observation="obs", mean="m"), BundleMismatch, "are discrete. Name logits"),
        (mlp(SIZE, {"logits": ACTIONS}, opset=13), LOGITS, BundleCorrupt, "version 13 of ONNX's operators.*18 to 23"),
        (with_external_weights(), LOGITS, BundleCorrupt, "keeps weights in other files .*Save it as one"),
        (of_another_domain(), LOGITS, BundleCorrupt, "uses operators of com.microsoft"),
        (with_random_numbers(), LOGITS, BundleCorrupt, r"refused: node .*RandomNormalLike.*not an operator"),
        (of_no_declared_domain(), LOGITS, BundleCorrupt, "uses operators of nowhere"),
        (with_input("obs", GOOD, kind=99), LOGITS, BundleMismatch, "input 'obs' of the graph is type 99, not float"),
        (with_input("h", gru(SIZE, ACTIONS), rows=2**50), STATEFUL, BundleMismatch, "'h' of the graph has shape"),
        (with_input("h", gru(SIZE, ACTIONS), rows=0), STATEFUL, BundleMismatch, "'h' of the graph has shape"),
        (with_input("obs", GOOD), LOGITS, BundleCorrupt, r"refused: node .*Unknown.*not an operator"),
        (without_a_number(GOOD, "to logits"), LOGITS, BundleCorrupt, "slot 0 puts out infinity or what is no number"),
        (mlp(SIZE, {"logits": ACTIONS}, batch=None), LOGITS, BundleMismatch, r"\(without a name\).*fixed shapes$"),
    ],
)
def test_what_cannot_be_packed_is_said_in_a_sentence(
    graph: bytes, names: TensorNames, kind: type[Exception], complaint: str
) -> None:
    with pytest.raises(kind, match=complaint):
        team(graph, names)


def test_names_must_say_one_policy() -> None:
    with pytest.raises(SettingsError, match="either over numbered actions or over vectors"):
        TensorNames(observation="obs")
    with pytest.raises(SettingsError, match="no tensor of a policy is called 'logit'"):
        tensor_names({"observation": "obs", "logit": "logits"})
    with pytest.raises(SettingsError, match="which input the observation is"):
        tensor_names({"logits": "logits"})
    with pytest.raises(SettingsError, match=r"squash is 'tan'\. Say tanh or clip"):
        tensor_names({"observation": "obs", "mean": "m", "squash": "tan"})
    with pytest.raises(SettingsError, match=r"deviation_is is 'logs'\. Say scale or log"):
        tensor_names({"observation": "obs", "mean": "m", "deviation_is": "logs"})
    with pytest.raises(SettingsError, match="cannot be told apart"):
        TensorNames(observation="obs", logits="l", state={"h.0": "a", "h-0": "b"})


def test_nothing_is_written_where_the_wrapped_policy_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = comparison._foreign_inputs

    def another_observation(*arguments: Any, **named: Any) -> Any:
        found = told(*arguments, **named)
        return found | {"obs": found["obs"] + np.float32(1e-3)}

    monkeypatch.setattr(comparison, "_foreign_inputs", another_observation)
    with pytest.raises(BundleCorrupt, match=r"wrapped policy of slot 0 differs from the graph by [0-9.]+"):
        pack(GOOD, environment="relay", names=LOGITS, to=tmp_path / "team")
    assert not (tmp_path / "team").exists()


def test_a_graph_per_slot_and_two_packings_alike(tmp_path: Path) -> None:
    graphs = [mlp(SIZE, {"logits": ACTIONS}, hidden=hidden) for hidden in (4, 5)]
    for folder in ("one", "two"):
        pack(
            graphs,
            environment="relay",
            parameters={"agents": 2},
            names={"observation": "obs", "logits": "logits"},
            to=tmp_path / folder,
            algorithm="x",
        )
    one, two = load_team(tmp_path / "one"), load_team(tmp_path / "two")
    assert [bundle.digest for bundle in one] == [bundle.digest for bundle in two]
    assert one[0].manifest.graph_sha256 != one[1].manifest.graph_sha256
    with pytest.raises(SettingsError, match="3 policies do not make a team of 2"):
        pack([*graphs, GOOD], environment="relay", parameters={"agents": 2}, names=LOGITS, to=tmp_path / "three")


def test_a_graph_that_takes_the_mask_gets_it() -> None:
    model = onnx.load_model_from_string(mlp(SIZE, {"plain": ACTIONS}))
    model.graph.input.append(helper.make_tensor_value_info("avail", TensorProto.FLOAT, [1, ACTIONS]))
    model.graph.node.append(helper.make_node("Mul", ["plain", "avail"], ["logits"]))
    model.graph.output[0].name = "logits"
    graph = model.SerializeToString()
    bundle = team(graph, TensorNames(observation="obs", logits="logits", mask="avail"))[0]
    random = np.random.default_rng(7)
    mask = np.arange(ACTIONS) % 2 == 0
    inputs = fed(bundle, random, action_mask=mask)
    told = raw(graph, obs=inputs["observation"][None], avail=mask[None].astype(np.float32))["logits"][0]
    np.testing.assert_allclose(StepFunction(bundle)(inputs)["logits"][mask], told[mask], atol=1e-6)
