"""The trainer's networks on recorded inputs and messages decide as the exported bundles do, and another's do not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_team import small_settings, start

from analysis.audit.answers import Answers
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED
from analysis.audit.input_sequence import InputSequence, record
from analysis.audit.networks import check_networks
from analysis.audit.one_process import OneProcess
from coordinator.plan.plan import Plan, make_plan
from heliograph.bundle import load_team
from heliograph.environments.permission import EVERYTHING
from trainer.commands.central_evaluator import CentralEvaluator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A run whose agents leave early, at times, and hear one another by turns."""
    path = tmp_path_factory.mktemp("runs") / "waiting"
    settings = small_settings("relay-signal", "environment.id=waiting_game:make", "environment.parameters={}")
    start(path, settings).run()
    return path


def plays(run_folder, *, greedy: bool) -> tuple[Plan, list[tuple[InputSequence, Answers]]]:
    plan = make_plan(load_team(run_folder / "bundles"), permission=EVERYTHING, greedy=greedy, run_seed=3)
    recorded = record(plan, scripts=24, others=1, steps=9)
    alone = OneProcess(plan, recorded.spec)
    return plan, [(script, alone.replay(script, episode=number)) for number, script in enumerate(recorded.scripts)]


@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_the_networks_of_a_run_decide_as_its_bundles(run_folder, greedy):
    plan, played = plays(run_folder, greedy=greedy)
    assert any(not script.present.all() for script, _ in played), "some agents leave early"
    assert any(script.hears[1:].any() for script, _ in played), "some are heard"
    check = check_networks(run_folder / "bundles", plan, played, EVERYTHING)
    assert check.verdict == HOLDS, check.said
    assert " 0 of " in check.said


@pytest.mark.parametrize(
    "setting",
    [
        "mamba.channel={share=1.0, erasure=0.5, late='predict', filling='sample'}",
        "mamba.message={precision='learned', bits_scale=0.001}",
    ],
    ids=["predicting", "choosing"],
)
def test_so_do_those_that_predict_messages_or_say_only_their_first_ids(tmp_path, setting):
    start(tmp_path / "run", small_settings("relay-signal", setting)).run()
    plan, played = plays(tmp_path / "run", greedy=False)
    assert any(script.hears[1:].any() for script, _ in played), "some are heard"
    check = check_networks(tmp_path / "run" / "bundles", plan, played, EVERYTHING)
    assert check.verdict == HOLDS, check.said


def test_networks_that_were_changed_are_told_from_the_bundles(run_folder, monkeypatch):
    plan, played = plays(run_folder, greedy=True)
    load = CentralEvaluator.__init__

    def load_and_change(self, path, permission):
        load(self, path, permission)
        with torch.no_grad():
            next(self._algorithm.actor.parameters()).add_(0.01)

    monkeypatch.setattr(CentralEvaluator, "__init__", load_and_change)
    assert check_networks(run_folder, plan, played, EVERYTHING).verdict == REFUTED


def test_a_message_that_was_not_delivered_is_told_from_one_that_was(run_folder):
    plan, played = plays(run_folder, greedy=True)
    deaf = [(script, replace(found, hears=np.zeros_like(found.hears))) for script, found in played]
    assert check_networks(run_folder, plan, deaf, EVERYTHING).verdict == REFUTED


def test_what_cannot_be_compared_is_said(run_folder, tmp_path):
    plan, played = plays(run_folder, greedy=True)
    assert "is not in a run folder" in check_networks(tmp_path, plan, played).said
    (tmp_path / "settings.json").write_text(json.dumps({}))
    assert check_networks(tmp_path, plan, played).verdict == NOT_CHECKED
    manifest = replace(plan.manifest, training_step=7)
    other = replace(plan, bundles=tuple(replace(bundle, manifest=manifest) for bundle in plan.bundles))
    found = check_networks(run_folder, other, played, EVERYTHING)
    assert found.verdict == NOT_CHECKED
    assert "at step 7" in found.said
