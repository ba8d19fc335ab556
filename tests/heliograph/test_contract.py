"""An environment of one's own that breaks PettingZoo's contract is told so in one sentence with a remedy, each way."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import numpy as np
import pytest
from bent_team import Bent, Change, drop, put, swap
from foreign_team import ForeignTeam
from gymnasium import spaces

from heliograph.environments.parallel import ParallelVector
from heliograph.errors import WorldError
from heliograph.stopping import Stopped


def leave(answer: Any) -> Any:
    sys.exit(0)


def raising(error: BaseException) -> Change:
    def change(answer: Any) -> Any:
        raise error

    return change


class Shut:
    """What will not be read as numbers, as a tensor on a device."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("on a device")


RAGGED = [[1.0], [1.0, 0.0]]


def played(**bent: Any) -> None:
    """Make the environment, and make two steps."""
    world = ParallelVector(lambda: Bent(**bent), count=1, id="bent:make")
    world.reset(np.array([0]))
    for _ in range(2):
        world.step(np.array([[1, 2]]))


def test_the_team_that_is_bent_here_keeps_the_contract() -> None:
    played()
    played(offers=("hears", "won", "mask"))


FIVE = r"Return \(observations, rewards, terminations, truncations, infos\)"
TWO = r"Return \(observations, infos\)"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda answer: answer[0], f"reset returned observations only. {TWO}"),
        (lambda answer: None, f"reset returned None. {TWO}"),
        (lambda answer: (*answer, 1), f"reset returned 3 values. {TWO}"),
        (swap(1, None), f"reset returned None as infos. {TWO}"),
        (swap(0, [1, 2]), f"reset returned 2 values as observations. {TWO}"),
        (put(1, "scout", None), "field 'infos' of agent 'scout' is None. Return a dict for each agent"),
        (drop(0, "scout"), "field 'observation' of agent 'scout' is missing. Return one for each live agent"),
        (put(1, "scout", {"hears": "carrier"}), "field 'hears' of agent 'scout' is a str. Return a list"),
        (put(1, "scout", {"hears": [7]}), "field 'hears' of agent 'scout' names 7, not of the team. Its agents are"),
        (put(1, "scout", {"hears": [["carrier"]]}), r"'hears' of agent 'scout' names \['carrier'\], not of the team"),
        (put(1, "scout", {"hears": np.array(1)}), "'hears' of agent 'scout' is a ndarray. Return a list of agents"),
        (put(1, "scout", {"hears": (1 // 0 for _ in "a")}), r"hears raised ZeroDivisionError: .*\(test_contract.py"),
        (
            put(1, "scout", {"action_mask": RAGGED}),
            "'action_mask' of agent 'scout' is 2 values that differ in length",
        ),
        (
            put(1, "scout", {"action_mask": [1, None]}),
            "'action_mask' of agent 'scout' is of object. Return 1 for",
        ),
        (put(1, "scout", {"action_mask": [1]}), r"has shape \(1,\), its action space has 2. Return .*, 2 in all"),
        (put(1, "ghost", {}), "field 'infos' names 'ghost', which is not in `possible_agents`. Its agents are"),
        (put(0, "ghost", None), "field 'observations' names 'ghost', which is not in `possible_agents`. Its agents"),
        (put(1, "scout", {"hears": []}), "'hears' of agent 'carrier' is missing, though the first reset told it"),
        (put(1, "scout", {"action_mask": [0.3, 1]}), "'action_mask' of agent 'scout' holds 0.3. Return 1 for legal"),
    ],
)
def test_a_reset_that_breaks_the_contract(change: Change, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of 'bent:make': .*{complaint}"):
        played(after_reset=change)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda answer: answer[:4], f"step returned 4 values, the interface with `dones` of old. {FIVE}"),
        (lambda answer: answer[0], f"step returned a dict. {FIVE}"),
        (swap(1, 1.0), f"step returned a float as rewards. {FIVE}"),
        (swap(2, False), f"step returned a bool as terminations. {FIVE}"),
        (swap(4, None), f"step returned None as infos. {FIVE}"),
        (put(1, "scout", None), "field 'reward' of agent 'scout' is None. Return one finite number"),
        (put(1, "scout", "good"), "field 'reward' of agent 'scout' is 'good'. Return one finite number"),
        (put(1, "scout", np.ones(3)), r"field 'reward' of agent 'scout' has shape \(3,\). Return one"),
        (put(1, "scout", float("nan")), "field 'reward' of agent 'scout' is nan. Return one"),
        (put(1, "scout", 1e39), r"field 'reward' of agent 'scout' is 1e\+39. Return one"),
        (put(1, "scout", RAGGED), "field 'reward' of agent 'scout' is 2 values that differ in length. Return one"),
        (
            put(1, "scout", Shut()),
            "'reward' of agent 'scout' is a Shut that cannot be read .*: on a device. Return",
        ),
        (drop(1, "scout"), "field 'reward' of agent 'scout' is missing, though it acted. Return one"),
        (put(1, "ghost", 1.0), "field 'rewards' names 'ghost', which is not in `possible_agents`. Its agents are"),
        (drop(2, "scout"), "field 'terminations' of agent 'scout' is missing, though it acted. Return True or False"),
        (put(3, "scout", None), "field 'truncations' of agent 'scout' is None. Return True or False"),
        (
            put(3, "scout", RAGGED),
            "field 'truncations' of agent 'scout' is 2 values that differ in length. Return",
        ),
        (put(4, "ghost", {}), "field 'infos' names 'ghost', which is not in `possible_agents`. Its agents are"),
        (put(3, "__all__", False), "field 'truncations' names '__all__'"),
        (put(0, "scout", np.array(["a", "b"])), "'observation' of agent 'scout' is of <U1, its space says float32"),
        (put(0, "scout", None), r"'observation' of agent 'scout' has .*shape \(2,\)|has nothing"),
        (put(0, "scout", RAGGED), "'observation' of agent 'scout' is 2 values that differ in length. Return what"),
        (put(0, "scout", np.full(2, 1e300)), "'observation' of agent 'scout' holds inf. Scale it"),
        (leave, r"step called sys.exit\(0\) \(test_contract.py, line \d+\). An environment must not end its process"),
        (raising(GeneratorExit()), r"step raised GeneratorExit \(test_contract.py, line \d+\)"),
        (raising(asyncio.CancelledError("late")), r"step raised CancelledError: late \(test_contract.py, line \d+\)"),
        (lambda answer: 1 / 0, r"step raised ZeroDivisionError: division by zero \(test_contract.py, line \d+\)"),
    ],
)
def test_a_step_that_breaks_the_contract(change: Change, complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of 'bent:make': .*{complaint}"):
        played(after_step=change)


def test_an_exit_is_told_where_it_stands_though_a_package_has_replaced_what_exits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(code: object) -> None:
        raise SystemExit(code)  # as the exit hooks of experiment trackers do

    monkeypatch.setattr(sys, "exit", told)
    line = leave.__code__.co_firstlineno + 1
    with pytest.raises(WorldError, match=rf"called sys.exit\(0\) \(test_contract.py, line {line}\)"):
        played(after_step=leave)


@pytest.mark.parametrize(
    ("space", "given", "complaint"),
    [
        (spaces.Box(-1, 1, (2,)), [0.0, 7.0], "holds 7.0 at 1, outside its space, -1.0 to 1.0"),
        (spaces.Box(0, 9, (2,), np.int64), [0.0, 0.5], "holds 0.5, its space says int64"),
        (spaces.Discrete(3), -1, r"is -1, which is not in its space Discrete\(3\)"),
        (
            spaces.MultiDiscrete([2, 2]),
            [[1], [1, 0]],
            r"is \[\[1\], \[1, 0\]\], which is not in its space Multi",
        ),
        (spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (1,))}), {"a": 1}, "has nothing for Box"),
        (spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,)))), (1,), "has nothing for Discrete"),
    ],
)
def test_an_observation_outside_its_space_is_told_before_anything_learns_from_it(
    space: spaces.Space, given: Any, complaint: str
) -> None:
    see = lambda answer: ({"scout": given, "carrier": given}, answer[1])  # noqa: E731
    with pytest.raises(WorldError, match=f"'observation' of agent 'scout' {complaint}.*Return what observation_space"):
        played(observes=space, after_reset=see)


def test_an_observation_that_is_off_by_rounding_or_in_another_precision_counts() -> None:
    see = lambda answer: (dict.fromkeys(answer[0], np.array([1 + 1e-6, -1.0])), answer[1])  # noqa: E731
    world = ParallelVector(lambda: Bent(observes=spaces.Box(-1, 1, (2,)), after_reset=see), count=1)
    assert world.reset(np.array([0])).observation[0, :, :2].tolist() == [[np.float32(1 + 1e-6), -1.0]] * 2


def promising(size: int) -> spaces.Dict:
    """What an agent observes, beside a mask of so many actions."""
    return spaces.Dict({"observation": spaces.Box(-1, 1, (2,)), "action_mask": spaces.Box(0, 1, (size,), np.int8)})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"observes": spaces.Box(0, 1, (0,))}, "no agent observes anything.*Give at least one agent a number"),
        (
            {"observes": spaces.Box(0, 255, (84, 84, 3), np.uint8)},
            "an image of 84 x 84 x 3.*at most 16384 numbers. Make it smaller",
        ),
        ({"observes": spaces.Sequence(spaces.Discrete(2))}, "cannot be made one vector. Give a Box"),
        ({"observes": "Box"}, r"observation_space\('scout'\) returned 'Box'. Return a gymnasium space"),
        ({"acts": spaces.MultiBinary(40)}, "nor a Tuple of them, nor a Box. Give MultiDiscrete, of 40 factors of 2"),
        ({"acts": spaces.Dict({"a": spaces.Discrete(2)})}, "nor a Box. Give a Tuple of its parts"),
        ({"acts": spaces.Box(0, 3, (2,), np.int32)}, "is not of real numbers. Give a Box of float32"),
        ({"acts": spaces.Box(0, np.inf, (2,))}, "has no bounds. Wrap the environment"),
        ({"fields": {"possible_agents": []}}, r"`possible_agents` is \[\]. List at least one agent"),
        ({"fields": {"possible_agents": "ab"}}, "`possible_agents` is a str. List the names"),
        (
            {"fields": {"possible_agents": [["scout"]]}},
            r"names \['scout'\], which cannot be a key of a dict. Name",
        ),
        ({"fields": {"possible_agents": np.array("scout")}}, "`possible_agents` is a ndarray. List the names"),
        ({"observes": promising(3)}, r"promises the 'action_mask' .*, its action space has 2. .* MultiBinary\(2\)"),
        ({"fields": {"observation_space": {}}}, "it has no method 'observation_space'. The factory must return"),
        ({"fields": {"state": lambda: ["a"]}}, "state is not made of numbers: it is of <U1. Return one array"),
        (
            {"fields": {"state": lambda: RAGGED}},
            "state is not made of numbers: it is 2 values that differ in length",
        ),
        ({"fields": {"state": lambda: [float("nan")]}}, "state holds nan. Return finite numbers"),
        ({"fields": {"possible_agents": ["scout", "scout"]}}, "List at least one agent, each with a name of its own"),
    ],
)
def test_a_team_that_cannot_be_played_is_told_how_it_could(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(WorldError, match=f"adapter of 'bent:make': .*{complaint}"):
        ParallelVector(lambda: Bent(**options), count=1, id="bent:make").state()


def test_what_is_no_parallel_environment_is_named() -> None:
    class Turns:
        possible_agents = ["a"]

        def agent_iter(self) -> None: ...

    class Single:
        observation_space = spaces.Discrete(2)

    class Shy:
        @property
        def possible_agents(self) -> list[str]:
            raise RuntimeError("not yet")

    for made, complaint in (
        (Turns, "this is an AEC environment, whose agents act in turn. Wrap it in aec_to_parallel"),
        (Single, "the factory returned an environment of a single agent. The factory must return a PettingZoo"),
        (Shy, "possible_agents raised RuntimeError: not yet"),
        (lambda: None, "the factory returned None, without `possible_agents`"),
        (lambda: 1 / 0, "construction raised ZeroDivisionError"),
        (lambda: sys.exit(0), r"construction called sys.exit\(0\)"),
    ):
        with pytest.raises(WorldError, match=complaint):
            ParallelVector(made, count=1)


def play_one_step(world: ParallelVector) -> None:
    world.reset(np.array([0]))
    world.step(np.array([[1, 2]]))


def test_an_agent_that_vanishes_or_appears_from_nowhere_is_told() -> None:
    class Vanishing(ForeignTeam):
        def step(self, actions: dict[str, int]) -> Any:
            answer = super().step(actions)
            self.agents = ["carrier"]
            return answer

    class Empty(ForeignTeam):
        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            answer = super().reset(seed=seed)
            self.agents = []
            return answer

    class Strange(ForeignTeam):
        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            answer = super().reset(seed=seed)
            self.agents = ["ghost"]
            return answer

    class Nesting(ForeignTeam):
        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            answer = super().reset(seed=seed)
            self.agents = [["scout"]]  # type: ignore[list-item]
            return answer

    class Reviving(ForeignTeam):
        def step(self, actions: dict[str, int]) -> Any:
            answer = super().step({agent: 0 if agent == "scout" else 10 for agent in self.agents})
            if self._step == 2:
                self.agents = ["scout", "carrier"]
            return answer

    world = ParallelVector(lambda: Reviving(scout_leaves=1), count=1)
    play_one_step(world)
    with pytest.raises(WorldError, match="agent 'scout' is in `agents` again after it was terminated"):
        world.step(np.array([[1, 2]]))
    for kind, complaint in (
        (Vanishing, "agent 'scout' left `agents`, but was neither terminated nor truncated"),
        (Empty, "`agents` is empty after a reset. Let reset set self.agents"),
        (Strange, "`agents` names 'ghost', which is not in `possible_agents`"),
        (Nesting, r"`agents` names \['scout'\], which is not in `possible_agents`. Its agents are 'scout', 'carrier'"),
    ):
        with pytest.raises(WorldError, match=complaint):
            play_one_step(ParallelVector(kind, count=1))


def with_masks(observed: list[int], told: list[int]) -> type[ForeignTeam]:
    class Masked(ForeignTeam):
        def _seen(self) -> dict[str, Any]:
            return {agent: {"observation": seen, "action_mask": observed} for agent, seen in super()._seen().items()}

        def _infos(self, *, won: bool) -> dict[str, dict[str, Any]]:
            return {agent: {"action_mask": told} for agent in super()._infos(won=won)}

    return Masked


def test_masks_that_contradict_each_other_are_an_error_and_not_a_choice() -> None:
    both = {"scout": spaces.Discrete(2), "carrier": spaces.Discrete(2)}

    def made(observed: list[int], told: list[int]) -> ParallelVector:
        def build() -> ForeignTeam:
            team = with_masks(observed, told)()
            team._acting = both
            return team

        return ParallelVector(build, count=1)

    assert made([1, 0], [1, 0]).reset(np.array([0])).action_mask.tolist() == [[[True, False]] * 2]
    with pytest.raises(WorldError, match="'action_mask' of agent 'scout' is 10 in the observation and 11 in infos"):
        made([1, 0], [1, 1]).reset(np.array([0]))


@pytest.mark.parametrize("field", ["action_mask", "neighbours", "hears"])
def test_what_a_reset_told_must_be_told_again_but_not_in_the_last_state(field: str) -> None:
    offers = ("mask",) if field == "action_mask" else (field,)
    silent = swap(4, {"scout": {}, "carrier": {}})
    with pytest.raises(WorldError, match=f"'{field}' of agent 'scout' is missing, though the first reset told it"):
        played(offers=offers, after_step=silent)
    played(offers=offers, after_step=silent, max_cycles=2)
    with pytest.raises(WorldError, match="'is_success' of agent 'scout' is missing at the end of an episode"):
        played(offers=("won",), after_step=silent, max_cycles=2)
    ragged = put(4, "scout", {"is_success": RAGGED})
    with pytest.raises(WorldError, match=r"'is_success' of agent 'scout' is 2 values that differ in length. Return Tr"):
        played(offers=("won",), after_step=ragged, max_cycles=2)


def test_neighbours_are_told_by_their_name_or_the_older_one_and_under_both_alike() -> None:
    both = {"neighbours": ["carrier"], "hears": [1]}
    played(offers=("neighbours",), after_reset=put(1, "scout", both))
    with pytest.raises(WorldError, match=r"'hears' of agent 'scout' is another than 'neighbours'. Return 'neighbours'"):
        played(offers=("neighbours",), after_reset=put(1, "scout", {**both, "hears": []}))
    with pytest.raises(WorldError, match="'neighbours' of agent 'scout' is missing, though the first reset told it"):
        played(offers=("neighbours",), after_step=put(4, "scout", {"hears": []}))


def test_a_mask_that_the_observation_space_promises_must_be_told() -> None:
    same = {"acts": spaces.Discrete(3), "observes": promising(3)}
    bare = lambda answer: (dict.fromkeys(answer[0], np.zeros(2)), answer[1])  # noqa: E731

    def full(answer: Any) -> Any:
        seen = {"observation": np.zeros(2), "action_mask": [1, 0, 1]}
        return dict.fromkeys(answer[0], seen), *answer[1:]

    def build(after: Change) -> Bent:
        team = Bent(**same, after_reset=after)
        team._acting["scout"] = spaces.Discrete(3)
        return team

    told = ParallelVector(lambda: build(full), count=1)
    assert told.reset(np.array([0])).action_mask.tolist() == [[[True, False, True]] * 2]
    silent = ParallelVector(lambda: build(bare), count=1)
    assert silent.spec.has_action_mask
    with pytest.raises(WorldError, match=r"agent 'scout' is missing, though its observation space promises it. Tell"):
        silent.reset(np.array([0]))


def test_a_stop_that_comes_in_a_step_is_no_breach_of_the_environment() -> None:
    for stop in (KeyboardInterrupt(), Stopped()):
        with pytest.raises(type(stop)):
            played(after_step=raising(stop))


def test_a_limit_is_looked_for_in_named_places_and_must_be_a_number() -> None:
    with pytest.raises(
        WorldError,
        match=r"has none of the attributes max_cycles, episode_limit, .*environment\.parameters\.step_limit=N",
    ):
        ParallelVector(lambda: ForeignTeam(max_cycles=None), count=1)
    for wrong in ("many", 0, True, 2.5):
        with pytest.raises(WorldError, match=f"step_limit is {wrong!r}. Give a whole number of steps from 1"):
            ParallelVector(ForeignTeam, count=1, step_limit=wrong)  # type: ignore[arg-type]


def test_closing_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Clinging(ForeignTeam):
        def close(self) -> None:
            raise RuntimeError("never")

    ParallelVector(Clinging, count=2).close()
    assert [record.message.count("never") for record in caplog.records] == [1, 1]


def test_a_state_attribute_that_is_no_method_is_the_environments_own_affair() -> None:
    assert ParallelVector(lambda: Bent(fields={"state": np.zeros(3)}), count=1).spec.state_size == 0
