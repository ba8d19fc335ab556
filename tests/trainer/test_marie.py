"""MARIE as an algorithm: settings that do not fit, what its updates touch, its runs from collecting to bundles."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from combinations import a_few
from equal_runs import assert_equal_runs
from tiny_team import SMALL_MARIE, resume, small_settings, start

from analysis.audit.evidence import HOLDS
from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.errors import CheckpointError, SettingsError
from trainer.algorithms.marie.imagination import ImaginedStarts
from trainer.algorithms.marie.marie import Marie
from trainer.policy.draws import GreedyDraws
from trainer.training.making import make_algorithm
from trainer.training.preset import load_settings
from trainer.training.restored import restored_algorithm
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings

KINDS = {
    "default": (),
    "centralised": ("marie.model.manner=centralised", "marie.model.aggregation=none"),
    "alone": ("marie.model.aggregation=none", "marie.model.reward=bins", "marie.model.available=bernoulli"),
    "bins": ("marie.tokenizer.discretisation=bins", "marie.tokenizer.bins.count=8"),
    "standardised": ("marie.tokenizer.observations=standardised",),
    "fsq": ("marie.tokenizer.discretisation=fsq", "marie.tokenizer.levels=[3, 3]"),
    "published": (
        *(f"marie.loss.{each}=published" for each in ("observation", "available")),
        "marie.policy.start_from=episodes",
        "marie.policy.force_available=false",
        "marie.tokenizer.clamp=imagined",
        "marie.sampling=visits",
    ),
    "in parts": ("marie.optimiser.at_once=3", "marie.policy.at_once=5"),
    "bfloat16": ("marie.model.precision=bfloat16",),
    "slides": ("marie.model.slide=2", "marie.policy.horizon=7"),
    "reads observations": ("marie.policy.reads=observations", "marie.tokenizer.observations=standardised"),
    "reads more": ("marie.policy.read_agent=true", "marie.policy.read_last_action=true", "marie.policy.stack=1"),
}
SEVERAL = {
    " and ".join(names): sum((KINDS[name] for name in names), ())
    for names in (
        ("alone", "bins", "in parts"),
        ("published", "fsq", "slides"),
        ("standardised", "reads more", "bfloat16"),
    )
}
"""At a landing those that can be had at once are tried at once."""
LEARNT = {
    "tokenizer/perplexity",
    "tokenizer/codes_in_use",
    "policy/entropy",
    *(f"model/{term}" for term in ("observation", "reward", "continue")),
}


def settings_for(*overrides: str, **changes: Any) -> TrainSettings:
    return small_settings("marie-relay-sighted", *overrides, small=SMALL_MARIE, **changes)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["marie.policy.horizon=25"], r"policy\.horizon = 25 imagines 26 states, but model\.context = 7"),
        (["marie.model.manner=joint"], "manner"),
        (["marie.model.manner=centralised"], "a centralised model reads all agents in one sequence"),
        (["marie.model.heads=3"], r"model\.heads = 3 does not divide model\.width = 64"),
        (["marie.policy.hidden=90"], r"policy\.critic_heads = 4 does not divide policy\.hidden = 90"),
        (["marie.model.slide=7"], r"model\.slide = 7 leaves nothing of model\.context = 7"),
        (["replay.window=9"], r"replay\.window = 9 rows are 8 steps, but marie\.model\.context = 7"),
        (
            ["marie.policy.experience_epochs=2", "marie.policy.temperature=2"],
            r"policy\.temperature = 2 has it act by another",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_a_sentence(overrides: list[str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load_settings("marie-relay-sighted", overrides)


def test_presets_hold_what_the_paper_and_the_code_list_for_a_map() -> None:
    found = {
        name: load_settings(f"marie-smac-{name}-paper", [])
        for name in ("3m", "8m", "2s3z", "2c_vs_64zg", "2m_vs_1z", "3s_vs_5z")
    }
    horizons = {name: each.marie.policy.horizon + 1 for name, each in found.items()}
    assert horizons == {"3m": 15, "8m": 8, "2s3z": 5, "2c_vs_64zg": 15, "2m_vs_1z": 15, "3s_vs_5z": 15}
    assert all(each.replay.window == each.marie.model.context + 1 for each in found.values())
    assert [found[name].marie.policy.rounds for name in ("3m", "8m", "2s3z")] == [4, 10, 30]
    assert found["2c_vs_64zg"].marie.policy.stack == 1
    assert found["2m_vs_1z"].marie.model.reward == "bins"
    assert found["3s_vs_5z"].marie.policy.temperature == 1
    assert load_settings("marie-smac-3s_vs_5z-code", []).marie.policy.temperature == 2
    assert all(each.evaluation.sampled for each in found.values())
    assert load_settings("marie-smac-corridor-paper", []).schedule.env_steps == 400_000
    code, paper = load_settings("marie-smac-8m-code", []), found["8m"]
    assert (code.marie.policy.horizon, code.marie.policy.rounds) == (14, 5)
    assert (code.marie.tokenizer.hidden, paper.marie.tokenizer.hidden) == (256, 512)
    assert (code.marie.tokenizer.codebook.revival, paper.marie.tokenizer.codebook.revival) == ("none", "idle")
    assert code.replay.time_limit_is_terminal
    assert all(load_settings(f"marie-flatland-5-{each}", []).marie.loss.reward_scale == 1 for each in ("paper", "code"))
    assert "mamba" not in code.model_dump()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*a_few(KINDS, "default", "centralised", "reads observations"), *SEVERAL])
def test_every_kind_learns_all_that_it_has_and_goes_on_as_if_it_had_not_been_interrupted(
    kind: str, tmp_path: Path
) -> None:
    chosen = settings_for(*(KINDS | SEVERAL)[kind], "replay.capacity=60", "evaluation.every=4", env_steps=10_000)
    start(tmp_path / "whole", chosen, stop_after=5).run()
    start(tmp_path / "parts", chosen, stop_after=3).run()
    resume(tmp_path / "parts", stop_after=5).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    history = RunFolder.open(tmp_path / "parts").history()
    assert set().union(*history) >= LEARNT
    assert all(math.isfinite(value) for record in history for value in record.values())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["default", "centralised"])
def test_the_tokenizer_learns_first_then_the_model_then_the_policy(kind: str, tmp_path: Path) -> None:
    warm = ("marie.model_warm_up=2", "marie.policy.warm_up_updates=3")
    start(tmp_path, settings_for(*KINDS[kind], *warm, env_steps=10_000), stop_after=8).run()
    history = RunFolder.open(tmp_path).history()
    tokenizer, model, policy = (
        next(each["iteration"] for each in history if name in each)
        for name in ("tokenizer/perplexity", "model/observation", "policy/entropy")
    )
    assert model - tokenizer == 2
    assert policy - model == 1  # three updates, of which there are two in an iteration


def test_a_checkpoint_with_a_codebook_of_another_size_is_refused(tmp_path: Path) -> None:
    start(tmp_path, settings_for(), stop_after=4).run()
    file = tmp_path / "settings.json"
    document = json.loads(file.read_text())
    document["marie"]["tokenizer"]["codebook"]["size"] = 9
    file.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match="codes"):
        resume(tmp_path)


def test_dropout_is_on_in_model_updates_alone() -> None:
    world = registry.make("relay", count=1, permission=EVERYTHING)
    algorithm = make_algorithm(settings_for("marie.model.dropout=0.5"), world, torch.device("cpu"))
    assert isinstance(algorithm, Marie)
    assert not any(module.training for network in algorithm.modules().values() for module in network.modules())


@pytest.fixture(scope="module", params=["default", "centralised", "reads more"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marie") / "run"
    start(folder, settings_for(*KINDS[request.param], env_steps=60)).run()
    return folder


@pytest.mark.slow
def test_a_summary_counts_the_weights_that_learn(finished: Path) -> None:
    folder = RunFolder.open(finished)
    algorithm, _, _ = restored_algorithm(folder, device=torch.device("cpu"))
    assert isinstance(algorithm, Marie)
    networks = (algorithm.tokenizer, algorithm.model, algorithm.actor, algorithm.critic)
    expected = sum(weights.numel() for network in networks for weights in network.parameters())
    assert json.loads(folder.summary.read_text())["parameters"] == expected > 1000


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["default", "reads more"], indirect=True)  # how it imagines, no node knows
def test_nodes_of_a_trained_team_play_the_same_episodes_and_send_nothing(finished: Path) -> None:
    bundles, told = RunFolder.open(finished).bundles, finished / "told.json"
    options = ["--bundles", str(bundles), "--episodes", "3", "--seed", "5", "--sampled", "--json", str(told)]
    command = [sys.executable, "-m", "heliograph", "run", *options]
    subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    (summary,) = json.loads(told.read_text())["summaries"]
    assert (summary["episodes"], summary["bits_per_agent_step"], summary["message_bits"]) == (3, 0, None)
    assert summary["masked"] == summary["hearable"] == summary["late"] == 0
    team = LocalTeam(load_team(bundles), run_seed=5, greedy=False)
    world = World(registry.make("relay", count=1, parameters={"cue": "own"}))
    alone = [team.run_episode(world, episode=episode).result.team_return for episode in range(3)]
    assert summary["team_return"]["mean"] == pytest.approx(np.mean(alone), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["default"], indirect=True)
def test_the_audit_finds_nothing_that_agents_tell_and_the_bandwidth_tool_no_bit(finished: Path, tmp_path: Path) -> None:
    bundles = str(RunFolder.open(finished).bundles)
    assert main(["audit", bundles, "--episodes", "1", "--out", str(tmp_path / "audit")]) == 0
    document = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert document["influence"] == dict.fromkeys(("one_link", "world_graph"), [[None, None]] * 2)
    verdicts = {check["name"]: check["verdict"] for check in document["checks"]}
    held = ("repeat", "isolation", "one process", "imports", "sockets", "files")
    assert {name for name, verdict in verdicts.items() if verdict == HOLDS} == set(held)
    assert main(["bandwidth", bundles, "--episodes", "2", "--out", str(tmp_path / "bandwidth")]) == 0
    report = json.loads((tmp_path / "bandwidth" / "report.json").read_text())
    assert sum(link["sent"] for link in report["links"]) == 0


def test_rollouts_imagined_in_parts_are_those_imagined_at_once() -> None:
    """With the likeliest of everything, as draws come in another order."""
    world = registry.make("relay", count=1, permission=EVERYTHING)
    rollouts = []
    for at_once in (0, 3):
        algorithm = make_algorithm(settings_for(f"marie.policy.at_once={at_once}"), world, torch.device("cpu"))
        assert isinstance(algorithm, Marie)
        algorithm.draws = GreedyDraws()
        torch.manual_seed(2)
        spec = algorithm.spec
        starts = ImaginedStarts(
            observation=torch.rand(8, 2, spec.agents, spec.observation_size),
            filled=torch.rand(8, 2) < 0.7,
            action=torch.zeros(8, spec.agents, dtype=torch.int64),
            first=torch.zeros(8, dtype=torch.bool),
            available=torch.ones(8, spec.agents, spec.actions, dtype=torch.bool),
        )
        rollouts.append(algorithm.imagine_from(starts))
    whole, parts = rollouts
    torch.testing.assert_close(parts.features, whole.features)
    torch.testing.assert_close(parts.reward, whole.reward)
    assert torch.equal(parts.action, whole.action)
    assert (parts.available is None) == (whole.available is None)


def test_imagination_begins_with_what_was_observed_and_goes_on_with_reconstructions() -> None:
    world = registry.make("relay", count=1, parameters={"agents": 2}, permission=EVERYTHING)
    chosen = settings_for("marie.policy.reads=observations", "marie.policy.stack=2")
    algorithm = make_algorithm(chosen, world, torch.device("cpu"))
    assert isinstance(algorithm, Marie)
    algorithm.draws = GreedyDraws()
    spec = algorithm.spec
    observation = torch.rand(8, 2, spec.agents, spec.observation_size)
    starts = ImaginedStarts(
        observation=observation,
        filled=torch.ones(8, 2, dtype=torch.bool),
        action=torch.zeros(8, spec.agents, dtype=torch.int64),
        first=torch.zeros(8, dtype=torch.bool),
        available=torch.ones(8, spec.agents, spec.actions, dtype=torch.bool),
    )
    (read,) = algorithm.imagine_from(starts).features  # [S, M, N, F]
    before, newest = read.unflatten(-1, (2, spec.observation_size)).unbind(-2)
    torch.testing.assert_close(before[0], observation[:, 0])
    torch.testing.assert_close(newest[0], observation[:, 1])
    torch.testing.assert_close(before[1:], newest[:-1])
    tokenizer = algorithm.tokenizer
    assert not torch.allclose(newest[0], tokenizer.decode(tokenizer.encode(newest[0])), atol=0.1)


def test_an_observation_beyond_the_bins_ends_a_training_wherever_it_was_recorded(tmp_path: Path) -> None:
    """One row of many, which a batch of the tokenizer would hardly hold."""
    chosen = settings_for(*KINDS["bins"], "marie.tokenizer.updates=1", "marie.tokenizer.batch=1")
    training = start(tmp_path, chosen, stop_after=9)
    write = training.replay.add

    def spoilt(copies: Any, rows: Any) -> None:
        rows.observation[-1, 0, 0] = 7.5
        write(copies, rows)

    training.replay.add = spoilt
    with pytest.raises(SettingsError, match=r"an observation holds 7\.5, which is outside the bins' range \[-1, 1\]"):
        training.run()
