"""`torchrun … -m heliograph train` as a user starts it: stopped on one rank, gone on with, and as if never stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from awaited_output import await_line
from child_environment import importing_test_modules
from combinations import a_few
from equal_runs import assert_equal_runs
from safetensors.numpy import load_file
from tiny_team import SMALL
from waiting_game import ANNOUNCEMENT, HELD_UNTIL

from heliograph.bundle import load_team
from heliograph.run_status import RunState, read_status
from trainer.training.checkpoint import saved_checkpoints
from trainer.training.run_folder import RunFolder

pytestmark = pytest.mark.slow
warm = pytest.mark.usefixtures("warm_commands")

DEADLINE_S = 360
GAME = "waiting_game:make"
TRAIN = ("-m", "heliograph", "train")
HERE = Path(__file__).parent
ENV_STEPS = 168
"""Of all ranks: seven iterations, in whose third the second rank says where it is."""
KINDS = [("commnet-relay", "mazero-relay"), ("happo-relay", "marie-relay")]


def variables() -> dict[str, str]:
    return importing_test_modules() | {"OMP_NUM_THREADS": "1"}


def launched(*arguments: str, program: tuple[str, ...] = TRAIN) -> subprocess.Popen[str]:
    """Two ranks under torchrun; the caller ends or awaits it."""
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [sys.executable, *ranks, *program, *arguments],
        env=variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(running: subprocess.Popen[str], *, within_s: float = DEADLINE_S) -> tuple[int, str, str]:
    try:
        out, err = running.communicate(timeout=within_s)
    finally:
        running.terminate()
    return running.returncode, out, err


def flags(env_steps: int, *more: str) -> list[str]:
    return [part for one in (*SMALL, f"schedule.env_steps={env_steps}", *more) for part in ("--set", one)]


@warm
def test_a_stop_on_one_rank_stops_all_and_going_on_gives_the_run_that_was_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    monkeypatch.setenv(HELD_UNTIL, str(asked))  # or they might be through before they are asked
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    world = ("--preset", "relay-signal", "--environment", GAME)
    announced = "environment.parameters={announce_at=25, announce_on=1}"
    running = launched(*world, "--folder", str(stopped), *flags(ENV_STEPS, announced))
    told = await_line(running, ANNOUNCEMENT, deadline_s=DEADLINE_S)
    os.kill(int(told.rpartition("pid=")[2]), signal.SIGINT)
    asked.touch()
    code, _, err = finished(running)
    assert code != 0
    assert read_status(stopped).state is RunState.INTERRUPTED, err
    assert saved_checkpoints(stopped / "checkpoints")
    assert not (stopped / "bundles").exists()

    code, out, err = finished(launched("--resume", str(stopped), "--allow-environment", GAME))
    assert code == 0, err
    assert out.count("all environment steps done") == 1  # the first rank alone tells
    every_iteration = ("--log-level", "info", *flags(ENV_STEPS, announced, "checkpoint_minutes=0.0001"))
    code, _, err = finished(launched(*world, "--folder", str(whole), *every_iteration))
    assert code == 0, err
    networks = set(re.findall(r"networks iteration=(\d+) rank=(\d) sha256=(\w+)", err))
    iterations = [str(record["iteration"]) for record in RunFolder.open(whole).history()]
    for iteration in iterations:
        assert len({digest for at, _, digest in networks if at == iteration}) == 1
        assert {rank for at, rank, _ in networks if at == iteration} == {"0", "1"}
    assert len({digest for _, _, digest in networks}) == len(iterations)
    assert_equal_runs(stopped, whole)
    assert [record["env_steps"] for record in RunFolder.open(whole).history()][-1] == ENV_STEPS
    assert len(load_team(whole / "bundles")) == 2
    further = ("--resume", str(whole), "--allow-environment", GAME, "--set", f"schedule.env_steps={2 * ENV_STEPS}")
    one_rank = subprocess.run(
        [sys.executable, *TRAIN, *further],
        env=variables(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert one_rank.returncode == 9
    assert "trained by 2 ranks, and would go on with 1 rank" in one_rank.stderr


@warm
def test_a_loss_that_is_no_number_on_one_rank_ends_all_with_its_reason(tmp_path: Path) -> None:
    run = tmp_path / "run"
    world = ("--preset", "relay-signal", "--environment", GAME, "--folder", str(run))
    running = launched(*world, *flags(10**6, "environment.parameters={large_at=25, large_on='1'}"))
    code, _, err = finished(running)  # long before a rank that hears nothing would give up
    assert ANNOUNCEMENT in err
    assert code != 0
    status = read_status(run)
    assert status.state is RunState.FAILED, err
    assert "reward term of the world-model loss is inf" in status.detail


def own_experience(run: Path, rank: int) -> dict[str, np.ndarray]:
    return load_file(saved_checkpoints(run / "checkpoints")[-1] / f"rank-{rank}.replay.safetensors")


# At a landing one that gives messages and learns on policy, and one that plans.
@warm
@pytest.mark.parametrize("presets", a_few(KINDS, ("commnet-relay", "mazero-relay")), ids=" and ".join)
def test_every_kind_of_learning_goes_on_as_if_it_had_never_stopped(tmp_path: Path, presets: tuple[str, ...]) -> None:
    program = (str(HERE / "rank_runs.py"),)
    code, _, err = finished(launched(str(tmp_path), *presets, program=program), within_s=2 * DEADLINE_S)
    assert code == 0, err
    for preset in presets:
        stopped, whole = tmp_path / preset / "stopped", tmp_path / preset / "whole"
        assert_equal_runs(stopped, whole)
        experience, expected = own_experience(stopped, 1), own_experience(whole, 1)
        for name, array in expected.items():
            assert np.array_equal(experience[name], array, equal_nan=True), (preset, name)


@warm
def test_what_all_ranks_run_into_is_told_once(tmp_path: Path) -> None:
    parsing = ("--preset", "relay-signal", "--seed", "one")
    before_joining = ("--preset", "relay-signal", "--set", "nonsense=3")
    together = ("--preset", "relay-signal", "--folder", str(tmp_path / "run"), "--set", "replay.batch=5")
    for arguments, told in (
        (parsing, "argument --seed: invalid int value: 'one'"),
        (("--no-such-option",), "unrecognized arguments: --no-such-option"),
        (before_joining, "unknown key nonsense"),
        (together, "replay.batch = 5 cannot be split among 2 ranks"),
    ):
        code, _, err = finished(launched(*arguments))
        assert code != 0
        assert err.count(told) == 1, err
        assert "interrupted" not in err, err
    assert not (tmp_path / "run").exists()


def test_a_program_that_torchrun_starts_trains_one_team_with_all_ranks(tmp_path: Path) -> None:
    settings = [*SMALL, "schedule.env_steps=48"]
    code, out, err = finished(launched(str(tmp_path), *settings, program=(str(HERE / "rank_trainings.py"),)))
    assert code == 0, err
    for number in range(2):
        told = sorted(line for line in out.splitlines() if f"trained in {tmp_path / str(number)} " in line)
        assert [int(line.split()[-1]) for line in told] == [0, number + 1]  # the first rank alone evaluates
        assert read_status(tmp_path / str(number)).state is RunState.FINISHED
        assert len(load_team(tmp_path / str(number) / "bundles")) == 2
