"""`heliograph train` and `heliograph export` as commands: presets, overrides, refusals, what a run leaves behind."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from combinations import a_few
from tiny_team import SMALL_OF

from heliograph import bundle
from heliograph.certificates.signing_keys import make_signing_key, require_trusted
from heliograph.cli import main
from heliograph.environments import registry
from heliograph.errors import BundleUntrusted, MissingExtra
from heliograph.run_status import RunState, RunStatus
from trainer.training.preset import load_settings, preset_names
from trainer.training.preset_families import families
from trainer.training.run_folder import RunFolder

NAMES = preset_names()
RAILWAYS = "flatland-cpu"
SINGLE = sorted(
    family.name
    for family in families()
    if family.name in NAMES
    and (not family.name.endswith(RAILWAYS) or family.name in (f"mamba-{RAILWAYS}", f"mappo-{RAILWAYS}"))
)
"""Presets of no map; those of the maps of each simulator have tests of their own, and a sighted one differs from the
one that is not by a parameter of its world.  Every algorithm is tried on relay; on railways, where a run takes seconds,
one with a world model and one without."""


LIKE_OTHERS = (
    *("commnet-relay-signal", "commnet-traffic-junction-easy", "tarmac-relay-signal"),  # the world and the method have
    f"mamba-{RAILWAYS}",  # MAMBA trains on railways in paper-flatland and code-flatland
    "mamba-smax-3m-fog",  # MAMBA trains on SMAX in test_preset_worlds, and test_smax has what is particular to fog
    *("vdn-relay", "ippo-relay"),  # learn as qmix-relay and mappo-relay do, but for the mixer and what the critic reads
)
"""Presets that no landing trains, since others have what they are made of."""

FEW_EPISODES = ("evaluation.episodes=2", "evaluation.final_episodes=2")
"""For railways, of which one takes long to make."""
SHORT_EPISODES = {"relay": "environment.parameters.length=5", "flatland": "environment.parameters.step_limit=5"}
"""By world, for what learns from whole episodes; on railways a step takes long, so for everything."""


def arguments(preset: str, path: Path, *more: str) -> list[str]:
    settings = load_settings(preset, [])
    small = SMALL_OF[settings.algorithm]
    if settings.algorithm == "qmix" or settings.environment.id.startswith("flatland"):
        small = (*small, SHORT_EPISODES[settings.environment.id.partition("-")[0]])
    if settings.environment.id.startswith("flatland"):
        small = (*small, *FEW_EPISODES)
    if settings.algorithm == "mamba" and settings.mamba.channel.withholds:
        small = (*small, "mamba.channel.changes=2")  # of fewer ids
    if settings.algorithm == "mamba" and settings.mamba.policy.reward_r2 is not None:
        small = (*small, "mamba.policy.reward_r2=-1e9")  # a model of five updates may know nothing
    overrides = [
        part
        for one in (*small, "schedule.env_steps=36", "schedule.minutes=0", "schedule.must_reach=false")
        for part in ("--set", one)
    ]
    return ["train", "--preset", preset, "--folder", str(path), *overrides, *more]


def is_installed(preset: str) -> bool:
    world = load_settings(preset, []).environment
    with suppress(MissingExtra):
        registry.make(world.id, count=1, parameters=world.parameters)
        return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize("preset", a_few(SINGLE, *(name for name in SINGLE if name not in LIKE_OTHERS)))
def test_every_preset_trains_exports_and_leaves_a_readable_run(
    preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    assert main(arguments(preset, path, *([] if is_installed(preset) else ["--environment", "relay"]))) == 0
    out = capsys.readouterr().out
    assert "all environment steps done: 36 environment steps, 3 iterations" in out

    history = RunFolder.open(path).history()
    assert [record["iteration"] for record in history] == [1, 2, 3]
    assert all(math.isfinite(value) for record in history for value in record.values())
    settings = RunFolder.open(path).settings()
    known = set().union(*history)
    learned = "value/loss" if settings.algorithm == "qmix" else "policy/entropy"
    assert {learned, "evaluate/greedy_outcome", "time/update_s"} <= known
    assert ("model/information" in known) == (settings.algorithm in ("mamba", "mag", "mabl"))
    assert any(path.glob("events.out.tfevents.*"))
    assert (path / "learning_curve.png").read_bytes().startswith(b"\x89PNG\r\n")
    summary = json.loads((path / "summary.json").read_text())
    assert summary["greedy"]["episodes"] == settings.evaluation.final_episodes

    team = bundle.load_team(path / "bundles")
    world = settings.environment
    assert len(team) == registry.make(world.id, count=1, parameters=world.parameters).spec.agents
    assert {each.manifest.environment for each in team} == {settings.environment.id}
    if settings.algorithm in ("mabl", "mappo", "ippo", "happo", "marie", "mazero", "qmix"):
        assert summary["links_cut"] is team[0].manifest.message is team[0].tables is None
    else:
        assert summary["links_cut"]["episodes"] == settings.evaluation.final_episodes
        assert team[0].manifest.message is not None
        assert team[0].tables is not None
        assert len(set(team[0].tables.counts.sum(axis=1))) == 1, "every message counts in every categorical"
    assert team[0].manifest.training_step == 36
    assert team[0].manifest.run_id == RunFolder.open(path).run_id


def test_the_published_presets_differ_where_paper_and_code_do() -> None:
    paper, code = (load_settings(name, []) for name in ("paper", "code"))
    assert (paper.mamba.policy.horizon, code.mamba.policy.horizon) == (15, 14)
    assert (paper.mamba.optimiser.gradient_clip, code.mamba.optimiser.gradient_clip) == (10, 100)
    assert (paper.mamba.model.communication, code.mamba.model.communication) == ("ego", "central")
    assert (paper.mamba.loss.reset_action_on_first, code.mamba.loss.reset_action_on_first) == (True, False)
    assert (paper.replay.time_limit_is_terminal, code.replay.time_limit_is_terminal) == (False, True)
    flatland = load_settings("code-flatland", [])
    assert (flatland.mamba.model.recurrent, flatland.mamba.model.train_with_neighbours) == (600, False)


def test_a_preset_file_builds_on_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "relay-signal"\nseed = 5\n[mamba.loss]\nkl_scale = 0.5\n')
    mine, base = load_settings(str(file), []), load_settings("relay-signal", [])
    assert (mine.seed, mine.mamba.loss.kl_scale) == (5, 0.5)
    assert mine.mamba.loss.reward_scale == base.mamba.loss.reward_scale
    assert mine.environment == base.environment


@pytest.mark.slow
def test_presets_are_listed_without_torch() -> None:
    code = (
        "import sys; from heliograph.cli import main; main(['train', '--list-presets', 'names']); "
        "main(['train', '--preset', 'relay', '--set', 'seed=3', '--dry-run']); "
        "assert 'torch' not in sys.modules"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.splitlines()[: len(NAMES)] == NAMES
    resolved = json.loads("\n".join(out.splitlines()[len(NAMES) :]))
    assert resolved["seed"] == 3
    assert resolved["mamba"]["model"]["categoricals"] == 32


def test_families_of_presets_say_what_they_are_for_and_hold_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--list-presets"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^    mamba-smax-MAP\[-paper\|-code\|-cpu\]$", out, re.MULTILINE)
    assert re.search(r"^    mappo-relay\[-sighted\]$", out, re.MULTILINE)
    assert re.search(r"^    smac\n        SMAC(?:.*\n)+?        VARIANT: \(tuned\), paper, code$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 110
    assert sorted(name for family in families() for name in family.presets) == NAMES


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--preset", "no-such"], "unknown preset 'no-such'.*--list-presets"),
        (["--preset", "relay", "--set", "mamba.model.hiden=3"], r"unknown key mamba.model.hiden.*valid here:.* hidden"),
        (["--preset", "relay", "--set", "seed=minus one"], "seed: .*integer.*'minus one'"),
        (["--preset", "relay", "--set", "seed"], "not of the form key=value"),
        (["--preset", "relay", "--set", "environment.parameters.agents=1"], "agents: .*greater than or equal to 2"),
        (["--preset", "relay", "--set", "device=warp"], "device 'warp'"),
        ([], "say what to train with --preset or --environment"),
        (["--preset", "relay", "--resume", "somewhere"], "say what to train with --preset or --environment"),
        (["--resume", "somewhere", "--seed", "3"], "a resumed run keeps its world, its seed and its networks"),
        (["--resume", "somewhere"], "somewhere is not a run folder"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(
    given: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *given, *([] if "--resume" in given else ["--folder", str(tmp_path / "run")])]) == 2
    err = capsys.readouterr().err
    assert re.search(told, err), err
    assert "Traceback" not in err


def test_a_folder_that_holds_a_run_or_cannot_be_made_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    RunFolder.create(path, load_settings("relay-signal", []))
    before = (path / "settings.json").read_bytes()
    assert main(arguments("relay", path)) == 2
    assert f"--resume {path}" in capsys.readouterr().err
    assert (path / "settings.json").read_bytes() == before
    assert main(arguments("relay", path / "settings.json" / "run")) == 2
    assert "cannot make run folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("wandb", [(), ("--wandb", "test")])
def test_a_world_that_cannot_be_made_leaves_no_folder(
    wandb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    if wandb:
        pytest.importorskip("wandb")
    path = tmp_path / "run"
    more = ["--environment", "nosuch.thing", "--allow-environment", "nosuch.thing", *wandb]
    assert main(arguments("relay-signal", path, *more)) == MissingExtra.exit_code
    assert "nosuch" in capsys.readouterr().err
    assert not path.exists()


def test_a_loss_that_overflows_ends_the_command_with_exit_code_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    more = ["--environment", "waiting_game:make", "--set", "environment.parameters={reward_factor=1e30}"]
    assert main(arguments("relay-signal", path, *more)) == 8
    err = capsys.readouterr().err
    assert "the reward term of the world-model loss is inf at model update 0" in err
    assert str(path) in err


@pytest.mark.slow
def test_another_environment_is_trained_with_its_own_sizes_and_exported_once_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    more = ["--environment", "waiting_game:make", "--seed", "4"]
    assert main(arguments("relay", path, *more, "--set", "environment.parameters={all_heard=true}")) == 0
    settings = RunFolder.open(path).settings()
    assert (settings.environment.id, settings.seed) == ("waiting_game:make", 4)
    assert settings.environment.parameters == {"all_heard": True}
    manifest = bundle.load_team(path / "bundles")[0].manifest
    assert (manifest.observation_size, manifest.actions.count, manifest.team_size) == (4, 3, 2)
    capsys.readouterr()

    allowed = ["--allow-environment", "waiting_game:make"]
    assert main(["export", str(path), *allowed, "--to", str(tmp_path / "elsewhere"), "--tar"]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / "elsewhere" / f"agent-{slot}.tar") for slot in range(2)]
    again, first = bundle.load_team(tmp_path / "elsewhere"), bundle.load_team(path / "bundles")
    assert [each.digest for each in again] == [each.digest for each in first]

    trusted = make_signing_key(tmp_path / "key")
    for more in (["--tar"], []):
        assert (
            main(
                [
                    "export",
                    str(path),
                    *allowed,
                    "--to",
                    str(tmp_path / "signed"),
                    "--sign",
                    str(tmp_path / "key"),
                    *more,
                ]
            )
            == 0
        )
        require_trusted(bundle.load_team(tmp_path / "signed"), [trusted])
    with pytest.raises(BundleUntrusted):
        require_trusted(again, [trusted])
    assert main(["export", str(path), "--to", str(tmp_path / "unsigned"), "--sign", str(trusted)]) == 2
    assert not (tmp_path / "unsigned").exists()


def test_a_run_without_a_checkpoint_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.create(tmp_path / "run", load_settings("relay-signal", []))
    assert main(["export", str(tmp_path / "run")]) == 9
    assert "holds no checkpoint" in capsys.readouterr().err


def test_of_a_run_that_is_still_training_it_is_said_that_it_has_no_checkpoint_yet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    folder = RunFolder.create(path, load_settings("relay-signal", []))
    evaluation = ["evaluate", str(path), "--central", "--episodes", "2"]
    assert main(evaluation) == 9
    told = capsys.readouterr().err
    assert f"{path} is still training, and holds no checkpoint yet" in told
    assert "Train it first" not in told
    folder.write_status(RunStatus(state=RunState.INTERRUPTED, env_steps=0))
    assert main(evaluation) == 9
    assert "Train it first" in capsys.readouterr().err
