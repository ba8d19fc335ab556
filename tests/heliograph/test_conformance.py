"""`heliograph environments check`: a verdict on every rule, and each rule can be broken alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from bent_team import Bent, drop, put, swap
from foreign_team import ForeignTeam
from gymnasium import spaces
from own_environment import make

from heliograph.cli import main
from heliograph.environments.conformance import BROKEN, KEPT, NOT_OFFERED, NOT_REACHED, OPTIONAL, RULES, examine


class Ghostly(ForeignTeam):
    def step(self, actions: dict[str, int]) -> Any:
        answer = super().step(actions)
        self.agents = [*self.agents, "ghost"]
        return answer


class Moody(ForeignTeam):
    moods = iter(range(1000))

    def step(self, actions: dict[str, int]) -> Any:
        return put(1, "scout", float(next(self.moods)))(super().step(actions))


class Growing(ForeignTeam):
    calls = 0

    def state(self) -> np.ndarray:
        self.calls += 1
        return np.zeros(self.calls)


BREACHES = {
    "factory": lambda: None,
    "spaces": lambda: Bent(acts=spaces.MultiBinary(2)),
    "limit": lambda: ForeignTeam(max_cycles=None, scout_leaves=3, carrier_ends=3),
    "reset": lambda: Bent(after_reset=lambda answer: answer[0]),
    "step": lambda: Bent(after_step=lambda answer: answer[:4]),
    "agents": Ghostly,
    "observations": lambda: Bent(after_step=put(0, "scout", np.array([np.nan, 0]))),
    "rewards": lambda: Bent(after_step=put(1, "scout", None)),
    "ends": lambda: Bent(after_step=drop(2, "scout")),
    "infos": lambda: Bent(after_step=put(4, "scout", None)),
    "masks": lambda: Bent(fault="mask"),
    "neighbours": lambda: Bent(fault="hears"),
    "success": lambda: Bent(offers=("won",), max_cycles=2, after_step=swap(4, {"scout": {}, "carrier": {}})),
    "state": Growing,
    "repeats": Moody,
}


@pytest.mark.parametrize("rule", RULES)
def test_a_breach_is_laid_to_its_own_rule_with_place_and_remedy(rule: str) -> None:
    found = examine(BREACHES[rule], environment="bent:make")
    verdicts = {verdict.rule: verdict for verdict in found.verdicts}
    assert list(verdicts) == list(RULES)
    assert [name for name, verdict in verdicts.items() if verdict.verdict == BROKEN] == [rule]
    assert not found.keeps_all
    problem = verdicts[rule].problem
    assert "bent:make" not in problem
    assert ". " in problem, "a remedy follows"
    if rule in ("observations", "rewards", "ends", "infos"):
        assert problem.startswith("episode 0 (seed 0), step 1: field")


@pytest.mark.parametrize(
    ("rule", "made", "complaint"),
    [
        ("factory", lambda: Bent(fields={"possible_agents": [["scout"]]}), "names ['scout'], which cannot be a key"),
        ("neighbours", lambda: Bent(after_reset=put(1, "scout", {"hears": [["x"]]})), "names ['x'], not of the team"),
        ("rewards", lambda: Bent(after_step=put(1, "scout", [[1], [1, 2]])), "is 2 values that differ in length. R"),
        ("infos", lambda: Bent(after_step=put(4, "ghost", {})), "step 1: field 'infos' names 'ghost', which is not"),
        ("observations", lambda: Bent(after_step=put(0, "ghost", 1)), "step 1: field 'observations' names 'ghost'"),
        ("step", lambda: Bent(after_step=_abandon), "step raised GeneratorExit (test_conformance.py, line"),
    ],
)
def test_a_breach_that_our_own_checks_could_stumble_over_is_laid_to_the_environment(
    rule: str, made: Any, complaint: str
) -> None:
    found = examine(made, environment="bent:make")
    problem = next(one.problem for one in found.verdicts if one.rule == rule)
    assert complaint in problem
    assert not any(ours in one.problem for one in found.verdicts for ours in ("contract.py, line", "fromnumeric"))


def _abandon(answer: Any) -> Any:
    raise GeneratorExit


def test_a_promised_mask_is_asked_for_though_nobody_returns_it() -> None:
    def made(size: int) -> ForeignTeam:
        seen = {"observation": spaces.Box(0, 1, (2,)), "action_mask": spaces.Box(0, 1, (size,), np.int8)}
        team = Bent(observes=spaces.Dict(seen), acts=spaces.Discrete(3))
        team._acting["scout"] = spaces.Discrete(3)
        team._seen = lambda: {agent: np.zeros(2) for agent in team.agents}  # type: ignore[method-assign]
        return team

    for size, rule, complaint in ((2, "spaces", "its action space has 3"), (3, "masks", "space promises it. Tell it")):
        found = examine(lambda size=size: made(size), environment="bent:make")  # type: ignore[misc]
        (broken,) = [one for one in found.verdicts if one.verdict == BROKEN]
        assert (broken.rule, complaint in broken.problem) == (rule, True)


def test_several_breaches_are_found_in_one_go() -> None:
    both = examine(lambda: Bent(fault="hears", after_step=put(1, "scout", "good")), environment="bent:make")
    assert {verdict.rule for verdict in both.verdicts if verdict.verdict == BROKEN} == {"neighbours", "rewards"}
    assert {verdict.rule for verdict in both.verdicts if verdict.verdict == NOT_REACHED} == {"repeats"}


def test_what_keeps_all_rules_is_shown_with_masks_and_neighbours() -> None:
    found = examine(lambda: ForeignTeam(offers=("hears", "won", "mask")), environment="foreign:make", seed=3)
    assert found.keeps_all
    assert [verdict.rule for verdict in found.verdicts if verdict.verdict == NOT_OFFERED] == ["state"]
    scout, carrier = found.agents
    assert (scout.observation_size, scout.actions, scout.legal, scout.hears) == (2, 2, [1], ["carrier"])
    assert (carrier.observation_size, carrier.actions, carrier.legal, carrier.hears) == (3, 4, [1, 2, 3], [])
    assert 0 <= scout.lowest < scout.highest <= 1
    assert [(one.seed, one.steps, one.end) for one in found.episodes] == [(seed, 5, "truncated") for seed in (3, 4, 5)]


def test_notes_tell_what_breaks_no_rule() -> None:
    far = examine(lambda: Bent(after_step=put(0, "scout", np.array([1e6, 0]))), environment="bent:make")
    assert far.keeps_all
    assert far.notes == ["observations of scout reach 1e+06: scale them to about -1 to 1 to learn from them"]
    late = swap(4, {"scout": {"won": True}, "carrier": {"won": True}})
    (note,) = examine(lambda: Bent(after_step=late, max_cycles=2), environment="bent:make").notes
    assert "'won' at the end of an episode, but not after a reset, so the outcome is the return" in note


class Shy(ForeignTeam):
    @property
    def max_cycles(self) -> int:
        print("thinking")
        raise RuntimeError("not yet")


def test_what_an_environment_raises_or_prints_anywhere_is_no_accident_of_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foreign_team.make", lambda: Shy(max_cycles=None, scout_leaves=2, carrier_ends=2))
    assert main(["environments", "check", "foreign_team:make", "--json"]) == 5
    captured = capsys.readouterr()
    (broken,) = [one for one in json.loads(captured.out)["verdicts"] if one["verdict"] == BROKEN]
    assert (broken["rule"], "raised RuntimeError: not yet" in broken["problem"]) == ("limit", True)
    assert "thinking" in captured.err


def test_an_episode_is_cut_at_the_limit_that_is_given() -> None:
    found = examine(lambda: ForeignTeam(max_cycles=None), environment="foreign:make", step_limit=2, episodes=1)
    assert found.keeps_all
    assert [(one.steps, one.end) for one in found.episodes] == [(2, "cut at the limit")]


@pytest.mark.parametrize("name", ["relay", "steering_team:make", "own_environment:make", "relay-signal"])
def test_environments_of_our_own_keep_every_rule(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environments", "check", name, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["keeps_all"]
    required = {
        verdict["rule"]: verdict["verdict"] for verdict in document["verdicts"] if verdict["rule"] not in OPTIONAL
    }
    assert set(required.values()) == {KEPT}
    assert make().possible_agents == ["lookout", "runner"]


def test_the_command_prints_verdicts_and_its_exit_code_tells(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["environments", "check", "foreign_team:make", "--set", 'offers=["mask","hears"]']
    assert main(given) == 0
    shown = capsys.readouterr().out
    for part in ("carrier", "1 2 3", "nobody", "every rule is kept", "not offered  the last infos"):
        assert part in shown
    assert main([*given, "--set", "fault=reward", "--episodes", "1"]) == 5
    shown = capsys.readouterr().out
    assert "BROKEN       every agent that acted gets one finite number" in shown
    assert "episode 0 (seed 0), step 0: field 'reward' of agent 'carrier' is inf" in shown
    assert "foreign_team:make: 1 of 15 rules broken" in shown


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["check"], 2, "Name one environment"),
        (["relay", "relay-signal"], 2, "cannot make anything of 'relay relay-signal'"),
        (["check", "relay", "--episodes", "0"], 2, "Run at least one"),
        (["check", "relay", "--seed", "99999999999999999999"], 2, "from a seed in 0"),
        (["check", "foreign_team:nothing"], 5, "has no factory 'nothing'"),
        (["check", "broken_import:make"], 5, "its import raised ZeroDivisionError: division by zero (broken_import.py"),
        (["check", "turn_based"], 5, "name a factory that returns aec_to_parallel(env())"),
    ],
)
def test_what_cannot_be_checked_is_said(
    words: list[str], code: int, said: str, tmp_path: Any, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_import.py").write_text("1 / 0\n")
    (tmp_path / "turn_based.py").write_text("def env():\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    # A path of one word is no import path, and one of two finds the module in its package.
    if words[-1] == "turn_based":
        (tmp_path / "games").mkdir()
        (tmp_path / "games" / "turn_based.py").write_text("def env():\n    pass\n")
        words = ["check", "games.turn_based"]
    assert main(["environments", *words]) == code
    assert said in capsys.readouterr().err


def test_one_environment_is_described_with_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["environments", "foreign_team:make_quiet"]) == 5
    assert "(elsewhere --set step_limit=N)" in capsys.readouterr().err
    assert main(["environments", "foreign_team:make_quiet", "--set", "step_limit=7"]) == 0
    assert "at most 7 steps" in capsys.readouterr().out
