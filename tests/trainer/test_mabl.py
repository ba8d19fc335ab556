"""MABL: what its levels know of, that its agents act on what they see alone, its runs from collecting to bundles."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from equal_runs import assert_equal_runs
from tiny_team import SMALL_MABL, resume, small_settings, start

from coordinator.running.in_process import LocalTeam
from coordinator.world.world import World
from heliograph.bundle import load_team
from heliograph.environments import registry
from heliograph.environments.permission import EVERYTHING
from heliograph.environments.vector import EnvironmentSpec
from heliograph.errors import SettingsError
from trainer.algorithms.mabl.mabl import Mabl
from trainer.algorithms.mabl.settings import MablSettings
from trainer.experience.columns import STATE
from trainer.experience.window import Window
from trainer.export.bundles import export_team
from trainer.training.evaluation import evaluate
from trainer.training.preset import load_settings
from trainer.training.run_folder import RunFolder
from trainer.training.settings import TrainSettings
from trainer.world_model.posteriors import Posteriors

LEVELS = ("each", "shared", "none")
TIME, BATCH, AGENTS, K, G = 5, 2, 3, 4, 12
SPEC = EnvironmentSpec(
    id="made-up",
    agents=AGENTS,
    observation_size=5,
    actions=4,
    episode_limit=9,
    complete_graph=True,
    outcome="won",
    has_action_mask=True,
    state_size=7,
)


def mabl(spec: EnvironmentSpec = SPEC, *, global_level: str = "each", recurrent: int = G, **settings: Any) -> Mabl:
    torch.manual_seed(0)
    sizes = {"hidden": 16, "recurrent": recurrent, "categoricals": K, "classes": 8, "posterior_scale": 20.0}
    model = sizes | {"global_level": global_level}
    values = {"model": model, "policy": {"critic_heads": 2, "horizon": 2}, **settings}
    return Mabl(MablSettings.model_validate(values), spec, device=torch.device("cpu"))


def window_of(*, state: bool = True) -> Window:
    generator = torch.Generator().manual_seed(1)
    shape = (TIME, BATCH, AGENTS)
    first = torch.zeros(TIME, BATCH, dtype=torch.bool)
    first[0] = True
    return Window(
        observation=torch.randn(*shape, 5, generator=generator),
        action_mask=torch.ones(*shape, 4, dtype=torch.bool),
        hears=None,
        present=torch.ones(shape, dtype=torch.bool),
        first=first,
        action=torch.randint(4, shape, generator=generator),
        reward=torch.randn(shape, generator=generator),
        terminated=torch.zeros(shape, dtype=torch.bool),
        columns={STATE: torch.randn(TIME, BATCH, 7, generator=generator)} if state else {},
    )


def likeliest(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.argmax(-1)


def observed(algorithm: Mabl, window: Window) -> Posteriors:
    with torch.no_grad():
        return algorithm.model.observe(window, likeliest)


def noticed(algorithm: Mabl, **changes: torch.Tensor) -> tuple[list[bool], bool]:
    """Which agents' own posteriors, and whether the global ones, change with a window."""
    one, other = (observed(algorithm, window) for window in (window_of(), replace(window_of(), **changes)))
    differs = one.probabilities != other.probabilities  # [T, B, N, K, C]
    own, above = differs[..., :K, :], differs[..., K:, :]
    return own.any(-1).any(-1).any(0).any(0).tolist(), bool(above.any())


@pytest.mark.parametrize("global_level", LEVELS)
def test_an_agents_own_latent_knows_its_own_experience_and_the_global_one_everything(global_level: str) -> None:
    algorithm, window, above = mabl(global_level=global_level), window_of(), global_level != "none"
    others = {"observation": 9 - 20 * window.observation, "action": 3 - window.action}
    for name, other in others.items():
        changed = getattr(window, name).clone()
        changed[2:, :, 1] = other[2:, :, 1]
        assert noticed(algorithm, **{name: changed}) == ([False, True, False], above)
    assert noticed(algorithm, columns={STATE: window.columns[STATE] + 1}) == ([False] * AGENTS, above)


def test_agents_share_a_global_latent_or_have_one_each() -> None:
    for global_level, same in (("shared", True), ("each", False)):
        found = observed(mabl(global_level=global_level), window_of())
        above = found.probabilities[..., K:, :]
        assert torch.equal(above[:, :, 0], above[:, :, 1]) == same
        assert found.deter.shape == (TIME, BATCH, AGENTS, 2 * G)
    assert observed(mabl(global_level="none"), window_of()).deter.shape == (TIME, BATCH, AGENTS, G)


def test_without_a_state_of_the_simulator_the_global_level_sees_what_all_agents_do() -> None:
    algorithm = mabl(replace(SPEC, state_size=0))
    window = window_of(state=False)
    together = replace(window, columns={STATE: window.observation.flatten(-2)})
    assert torch.equal(observed(algorithm, window).probabilities, observed(algorithm, together).probabilities)


@pytest.mark.parametrize("global_level", ["each", "shared"])
def test_imagined_latents_are_drawn_from_the_top_down(global_level: str) -> None:
    """An agent's next latent follows from the global one above it, where its own recurrent state is the same."""
    algorithm = mabl(global_level=global_level)
    model, deter = algorithm.model, observed(algorithm, window_of()).deter[-1]
    with torch.no_grad():
        ids = model.draw_down(model.first_prior(deter), deter, likeliest)
        other = torch.flip(model.first_prior(deter), dims=(-1,))
        moved = model.draw_down(other, deter, likeliest)
        expected = model.agent_prior(deter[..., :G], moved[..., : model.above.rows, K:])
    assert not torch.equal(ids[..., K:], moved[..., K:])
    assert torch.equal(moved[..., :K], expected.argmax(-1))
    assert torch.equal(moved[:, 0, K:], moved[:, 1, K:]) == (global_level == "shared")


@pytest.mark.parametrize(
    ("global_level", "critic", "reads"),
    [
        ("each", "all", [True, True]),
        ("each", "global", [False, True]),
        ("shared", "global", [False, True]),
        ("none", "all", [True]),
        ("none", "global", [True]),
    ],
)
def test_the_critic_reads_the_levels_that_it_should(global_level: str, critic: str, reads: list[bool]) -> None:
    algorithm = mabl(global_level=global_level, critic=critic)
    dream = algorithm.imagine_from(window_of())
    ids, deter = dream.features[0][0], dream.features[1][0]
    for level, read in enumerate(reads):
        other = deter.clone()
        other[..., level * G : (level + 1) * G] += 1
        assert torch.equal(algorithm.critic(ids, deter), algorithm.critic(ids, other)) == (not read)


def test_a_setting_of_another_algorithm_is_refused_and_what_both_have_is_taken_over() -> None:
    relay, ours = load_settings("relay", []), load_settings("mabl-relay", [])
    assert ours.mabl.policy == relay.mamba.policy
    assert ours.mabl.model.hidden == relay.mamba.model.hidden
    assert load_settings("relay", ["algorithm=mabl"]).mabl == ours.mabl
    with pytest.raises(SettingsError, match="mamba is set, which mabl does not read"):
        load_settings("mabl-relay", ["mamba.model.hidden=3"])
    with pytest.raises(SettingsError, match=r"unknown key mabl\.model\.heads"):
        load_settings("mabl-relay", ["mabl.model.heads=3"])


def settings_for(global_level: str, *overrides: str, env_steps: int = 96) -> TrainSettings:
    return small_settings(
        "mabl-relay-sighted",
        f"mabl.model.global_level={global_level}",
        *overrides,
        env_steps=env_steps,
        small=SMALL_MABL,
    )


@pytest.fixture(scope="module", params=LEVELS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    training = start(path, settings_for(request.param))
    summary = training.run()
    training.close()
    assert summary.links_cut is None, "there is nothing to cut"
    return path


@pytest.mark.slow
def test_the_ablation_runs_from_collecting_to_bundles_without_messages(finished: Path) -> None:
    folder = RunFolder.open(finished)
    records = folder.history()
    level = folder.settings().mabl.model.global_level
    assert any("model/kl_agent" in record for record in records)
    assert any("model/kl_global" in record for record in records) == (level != "none")
    assert any("policy/entropy" in record for record in records)
    bundles = load_team(folder.bundles)
    assert [(bundle.manifest.algorithm, bundle.manifest.message) for bundle in bundles] == [("mabl", None)] * 2
    assert bundles[0].tables is None
    world = World(registry.make("relay", count=1, parameters={"cue": "own"}))
    team = LocalTeam(bundles, run_seed=5, greedy=True)
    assert team.run_episode(world, episode=0).result.steps == 6


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["each"], indirect=True)
def test_nodes_of_a_trained_team_play_the_same_episodes_and_send_nothing(finished: Path) -> None:
    bundles, told = RunFolder.open(finished).bundles, finished / "told.json"
    options = ["--bundles", str(bundles), "--episodes", "3", "--seed", "5", "--sampled", "--json", str(told)]
    command = [sys.executable, "-m", "heliograph", "run", *options]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "bits per agent-step" in shown.stdout
    (summary,) = json.loads(told.read_text())["summaries"]
    assert (summary["episodes"], summary["bits_per_agent_step"], summary["message_bits"]) == (3, 0, None)
    assert summary["masked"] == summary["hearable"] == summary["late"] == 0
    team = LocalTeam(load_team(bundles), run_seed=5, greedy=False)
    world = World(registry.make("relay", count=1, parameters={"cue": "own"}))
    alone = [team.run_episode(world, episode=episode).result.team_return for episode in range(3)]
    assert summary["team_return"]["mean"] == pytest.approx(np.mean(alone), abs=1e-6)


@pytest.mark.slow
def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    settings = settings_for("each", "mabl.policy.entropy_decay=0.9", "replay.capacity=60", env_steps=10_000)
    start(tmp_path / "whole", settings, stop_after=6).run()
    start(tmp_path / "parts", settings, stop_after=2).run()
    for stop in (4, 6):
        resume(tmp_path / "parts", stop_after=stop).run()
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert any("policy/entropy" in record for record in RunFolder.open(tmp_path / "parts").history())


@pytest.fixture(
    scope="module",
    params=[
        ("relay", {"agents": 3, "cue": "own"}),
        ("waiting_game:make", {"all_heard": True}),
        ("steering_team:make", {}),
    ],
    ids=["relay", "waiting game", "steering team"],
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mabl, Path, Any]:
    """An untrained team, its bundles, and its world's name and parameters."""
    environment, parameters = request.param
    # As wide as those of `tiny_team`, which are traced for other tests.
    world = registry.make(environment, count=1, parameters=parameters, permission=EVERYTHING)
    algorithm = mabl(world.spec, recurrent=16)
    with torch.no_grad():  # a policy whose memory shows in what it does
        for module, factor in ((algorithm.actor, 6.0), (algorithm.model.rssm.cell, 4.0)):
            for parameter in module.parameters():
                parameter.mul_(factor if parameter.dim() > 1 else 0.0)
    folder = tmp_path_factory.mktemp("exported")
    export_team(algorithm, algorithm.spec, folder, run_id="equal", training_step=0)
    return algorithm, folder, request.param


@pytest.mark.slow
@pytest.mark.parametrize("greedy", [True, False], ids=["greedy", "sampled"])
def test_the_networks_of_a_team_and_bundles_of_agents_alone_play_the_same_episodes(
    exported: tuple[Mabl, Path, Any], greedy: bool
) -> None:
    algorithm, folder, (environment, parameters) = exported
    central = evaluate(
        algorithm.policy(),
        registry.make(environment, count=16, parameters=parameters, permission=EVERYTHING),
        episodes=24,
        seed=11,
        greedy=greedy,
        device=torch.device("cpu"),
    )
    team, world = (
        LocalTeam(load_team(folder), run_seed=11, greedy=greedy),
        World(registry.make(environment, count=1, parameters=parameters, permission=EVERYTHING)),
    )
    results = [team.run_episode(world, episode=episode).result for episode in range(24)]
    assert [result.steps for result in results] == central.length.tolist()
    assert [result.outcome for result in results] == central.outcome.tolist()
    np.testing.assert_allclose([result.team_return for result in results], central.team_return, rtol=0, atol=1e-5)
    assert len(np.unique(central.team_return.round(4))) >= 6, "the episodes differ from one another"
