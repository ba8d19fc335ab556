"""How long a training still takes: from measured speed, to where it is usually done and to its limits."""

from __future__ import annotations

import json

import pytest

from heliograph.cli import main
from heliograph.errors import SettingsError
from heliograph.run_status import RunState, RunStatus
from trainer.training.horizon import Horizon, Pace, horizon_of, in_words, limited
from trainer.training.preset import load_settings
from trainer.training.settings import ScheduleSettings

SCHEDULE = ScheduleSettings(env_steps=1000, steps_per_iteration=5)


def test_speed_is_that_of_the_last_minute_and_unknown_before_it_is_measured() -> None:
    pace = Pace()
    assert pace.steps_per_s is None
    pace.note(0.0, 100)
    pace.note(2.0, 300)
    assert pace.steps_per_s is None, "two seconds tell little"
    pace.note(4.0, 500)
    assert pace.steps_per_s == 100.0
    for second in range(5, 200):
        pace.note(float(second), 500 + 10 * (second - 4))
    assert pace.steps_per_s == pytest.approx(10.0), "the machine has become busy"


def test_what_is_left_follows_the_nearer_limit() -> None:
    horizon = Horizon(limit_env_steps=1000, limit_seconds=50.0, usual_env_steps=400)
    assert horizon.left_s(env_steps=200, seconds=10.0, steps_per_s=100.0) == 8.0
    assert horizon.left_s(env_steps=200, seconds=45.0, steps_per_s=100.0) == 5.0
    assert horizon.usually_left_s(env_steps=200, steps_per_s=100.0) == 2.0
    assert horizon.usually_left_s(env_steps=400, steps_per_s=100.0) is None
    assert horizon.share(env_steps=200, seconds=10.0) == 0.2
    assert horizon.share(env_steps=200, seconds=45.0) == 0.9


def test_a_run_that_has_not_reached_its_target_is_granted_as_much_again_and_no_other_is() -> None:
    horizon = horizon_of(SCHEDULE, None)
    assert (horizon.limit_env_steps, horizon.limit_seconds) == (1000, None)
    for state in (RunState.INTERRUPTED, RunState.FAILED, RunState.RUNNING, RunState.FINISHED):
        assert horizon_of(SCHEDULE, RunStatus(state=state, env_steps=500)).limit_env_steps == 1000
    unreached = RunStatus(state=RunState.UNREACHED, env_steps=1005)
    again = horizon_of(SCHEDULE, unreached)
    assert again.limit_env_steps == 2005
    interrupted = limited(RunStatus(state=RunState.INTERRUPTED, env_steps=1500), again)
    assert horizon_of(SCHEDULE, interrupted) == again, "what was granted stays granted"


def test_wall_time_is_granted_again_too() -> None:
    schedule = ScheduleSettings(env_steps=1000, steps_per_iteration=5, minutes=2)
    first = horizon_of(schedule, None)
    again = horizon_of(schedule, limited(RunStatus(state=RunState.UNREACHED, env_steps=300), first))
    assert (first.limit_seconds, again.limit_seconds) == (120.0, 240.0)


@pytest.mark.parametrize(("seconds", "said"), [(9.7, "10 s"), (95.0, "95 s"), (480.0, "8 min"), (9000.0, "2.5 h")])
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert in_words(seconds) == said


def test_what_must_be_reached_must_be_said() -> None:
    with pytest.raises(SettingsError, match=r"no schedule\.stop_at_outcome says what must be reached"):
        load_settings("mamba-flatland-cpu", ["schedule.must_reach=true"])


@pytest.mark.parametrize("name", ["schedule.minutes", "schedule.stop_at_outcome", "checkpoint_minutes"])
@pytest.mark.parametrize("value", ["inf", "nan"])
def test_limits_are_numbers_that_a_run_folder_can_hold(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: Input should be .*\(got {value}\)"):
        load_settings("relay-signal", [f"{name}={value}"])


@pytest.mark.parametrize("value", ["inf", "nan", "[1.0, -inf]"])
def test_parameters_of_any_world_are_numbers_that_a_run_folder_can_hold(value: str) -> None:
    world = ['environment.id="waiting_game:make"', f"environment.parameters={{announce_at={value}}}"]
    with pytest.raises(SettingsError, match=r"environment\.parameters: holds a number that is not finite"):
        load_settings("relay-signal", world)


def test_the_demo_trains_to_its_target_by_no_clock() -> None:
    schedule = load_settings("relay-demo", []).schedule
    assert schedule.must_reach
    assert schedule.minutes == 0
    assert schedule.usual_env_steps is not None
    assert schedule.env_steps >= 3 * schedule.usual_env_steps


@pytest.mark.parametrize(
    ("preset", "usual"),
    [
        ("relay", 10_000),
        ("relay-sighted", 6_000),
        ("mag-relay", 10_000),
        ("relay-signal", None),
        ("mappo-relay", None),
        ("attention-ppo-relay", None),
        ("mabl-relay", None),
        ("independent-relay", None),
    ],
)
def test_where_a_run_is_usually_done_is_told_of_those_that_reach_their_target(preset: str, usual: int | None) -> None:
    assert horizon_of(load_settings(preset, []).schedule, None).usual_env_steps == usual


def test_where_a_run_is_usually_done_is_not_told_beyond_its_limit_or_of_another_world(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert horizon_of(load_settings("relay", ["schedule.env_steps=8000"]).schedule, None).usual_env_steps is None
    assert main(["train", "--preset", "relay", "--environment", "relay-signal", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["schedule"]["usual_env_steps"] is None
