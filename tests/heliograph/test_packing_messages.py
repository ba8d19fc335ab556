"""Policies of other trainers that talk in real vectors: what they send goes as ids, and comes as numbers again."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from foreign_policies import talking

from agent_node.step_function import StepFunction
from heliograph.bundle import Bundle, load_team, make, save_team
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.errors import BundleCorrupt, BundleMismatch, SettingsError
from heliograph.manifest import Manifest
from heliograph.packing.api import pack, packed
from heliograph.packing.naming import MessageNames, TensorNames

SPEC = registry.make("relay", count=1, parameters={"agents": 2}).spec
GRAPH = talking(SPEC.observation_size, SPEC.actions, SPEC.agents)
TALK = MessageNames(output="message", inbox="inbox", present="present", levels=16)
LOW, CELL = -1.0, 2 / 16


def team(message: MessageNames, graph: bytes = GRAPH) -> list[Bundle]:
    names = TensorNames(observation="obs", logits="logits", message=message)
    return packed([graph] * 2, SPEC, names, fixed={}, algorithm="other", run_id=None, training_step=0)


@pytest.mark.parametrize("own", [True, False])
def test_what_comes_is_the_middle_of_cells_and_what_goes_is_their_number(own: bool) -> None:
    bundle = team(MessageNames(output="message", inbox="inbox", present="present", levels=16, own=own))[1]
    step = StepFunction(bundle)
    session = onnxruntime.InferenceSession(GRAPH, providers=["CPUExecutionProvider"])
    random, sent = np.random.default_rng(0), set()
    for first, other_present in itertools.product((False, True), repeat=2):
        observation = random.standard_normal(SPEC.observation_size).astype(np.float32)
        latent = random.integers(16, size=(2, 3)).astype(np.int32)
        answer = step(
            {
                "observation": observation,
                "action_mask": np.ones(SPEC.actions, dtype=bool),
                "first": np.array(first),
                "greedy": np.array(True),
                "noise": np.array([0.5], np.float32),
                "inbox_latent": latent,
                "inbox_action": np.zeros(2, np.int32),
                "inbox_present": np.array([other_present, True]),
            }
        )
        counts = np.array([other_present, own]) & (not first)
        inbox = np.where(counts[:, None], LOW + (latent + 0.5) * CELL, 0)
        given = {"obs": observation[None], "inbox": inbox[None].astype(np.float32)}
        logits, message = session.run(None, given | {"present": counts[None].astype(np.float32)})
        np.testing.assert_allclose(answer["logits"], logits[0], atol=1e-5)
        np.testing.assert_array_equal(answer["latent"], np.floor((message[0] - LOW) / CELL).clip(0, 15).astype(int))
        sent |= set(answer["latent"].tolist())
    assert len(sent) > 2


def test_the_manifest_states_what_ids_stand_for(tmp_path: Path) -> None:
    bundles = team(TALK)
    save_team(bundles, tmp_path)
    manifest = load_team(tmp_path)[0].manifest
    assert (manifest.message.categoricals, manifest.message.classes) == (3, 16)
    assert (manifest.message_values.low, manifest.message_values.high) == (-1.0, 1.0)
    told = json.loads(bundles[0].manifest_bytes)
    assert told["message_values"] == {"low": -1.0, "high": 1.0}
    for broken, why in (
        ({"message_values": {"low": 1, "high": 1}}, "which is no range"),
        ({"message_values": {"low": 1}}, "message_values.high is missing"),
        ({"message_values": {"low": 0, "high": 10**400}}, "a number of 401 digits"),
        ({"message_values": {"low": "0", "high": 1}}, "expected finite numbers"),
        ({"message_values": 3}, "expected an object"),
        ({"message": None}, "message_values are given for an agent that sends no messages"),
    ):
        with pytest.raises(BundleCorrupt, match=why):
            Manifest.from_bytes(json.dumps(told | broken).encode())
    other = team(MessageNames(output="message", inbox="inbox", present="present", levels=16, high=2.0))[1]
    save_team([bundles[0], make(other.manifest, other.graph)], tmp_path)
    with pytest.raises(BundleMismatch, match="come from different runs"):
        load_team(tmp_path)


def test_numbers_outside_of_the_range_go_into_the_last_cells() -> None:
    bundle = team(MessageNames(output="message", inbox="inbox", present="present", levels=4, low=-0.01, high=0.01))[0]
    inputs = {
        "action_mask": np.ones(SPEC.actions, dtype=bool),
        "first": np.array(True),
        "greedy": np.array(True),
        "noise": np.array([0.5], np.float32),
        "inbox_latent": np.zeros((2, 3), np.int32),
        "inbox_action": np.zeros(2, np.int32),
        "inbox_present": np.ones(2, dtype=bool),
    }
    random, step = np.random.default_rng(2), StepFunction(bundle)
    seen = set()
    for _ in range(40):
        observation = random.standard_normal(SPEC.observation_size).astype(np.float32)
        seen |= set(step(inputs | {"observation": observation})["latent"].tolist())
    assert {0, 3} <= seen <= {0, 1, 2, 3}


def test_what_cannot_be_a_message_is_refused_in_a_sentence() -> None:
    for message, why in (
        (MessageNames(output="said", inbox="inbox", present="present"), "has no output 'said'. Its outputs are logits"),
        (
            MessageNames(output="message", inbox="mail", present="present"),
            "has no input 'mail'. Its inputs are obs, inbox",
        ),
        (MessageNames(output="message", inbox="inbox"), "inputs that nothing says the meaning of: present"),
        (
            MessageNames(output="message", inbox="present", present="inbox"),
            "has shape .1, 2, 3., and there are 2 agents",
        ),
        (
            MessageNames(output="logits", inbox="inbox", present="present"),
            r"has shape \[1, 5\], 3 numbers are expected",
        ),
    ):
        with pytest.raises(BundleMismatch, match=why):
            team(message)
    with pytest.raises(BundleMismatch, match="which is no row of 1 to 4096 numbers for each of 2 agents"):
        team(TALK, talking(SPEC.observation_size, SPEC.actions, 3, numbers=3))
    for given, why in (
        ({"low": 1.0}, "no range"),
        ({"levels": 1}, "message.classes is 1"),
        ({"high": 2e308}, "finite"),
        ({"high": 1e38}, "single precision"),
        ({"low": 1e6, "high": 1e6 + 1}, "does not tell 256 cells from 1e\\+06"),
    ):
        with pytest.raises(SettingsError, match=f"messages cannot be written so: .*{why}"):
            MessageNames(output="message", inbox="inbox", **given)
    names = {"observation": "obs", "logits": "logits"}
    for told, why in (
        ({"output": "message"}, "nothing says which tensor the inbox is"),
        ({"to": "x"}, "is called 'to'"),
    ):
        with pytest.raises(SettingsError, match=why):
            pack(GRAPH, environment="relay", parameters={"agents": 2}, names=names | {"message": told}, to="nowhere")


def test_a_packed_team_talks_and_is_worse_or_other_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "policy.onnx").write_bytes(GRAPH)
    command = ["bundle", "pack", str(tmp_path / "policy.onnx"), "--environment", "relay", "--parameter", "agents=2"]
    command += ["--observation", "obs", "--logits", "logits", "--to", str(tmp_path / "team")]
    talk = ["--message", "message:inbox", "--present", "present", "--message-low", "-1", "--message-levels", "16"]
    assert main([*command, *talk]) == 0
    report = str(tmp_path / "report.json")
    words = ["--episodes", "20", "--links", "both", "--sampled", "--json", report]
    assert main(["evaluate", str(tmp_path / "team"), *words]) == 0
    opened, cut = json.loads(Path(report).read_text())["summaries"]
    assert opened["message_bits"] == pytest.approx(3 * 4 + 3)  # four bits a number, and the action
    assert opened["messages"] > 0
    assert cut["messages"] == 0
    capsys.readouterr()
    assert main([*command, "--present", "present"]) == 2
    assert "--present is of a policy that talks" in capsys.readouterr().err
    assert main([*command, "--message", "message:inbox", "--message-low", "nan"]) == 2
    assert "messages cannot be written so" in capsys.readouterr().err
