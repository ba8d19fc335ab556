"""A robot behind Zenoh: what it says is acted on while it is fresh; where nothing is done for it, it is told to stop.

The robot of these tests is a session of Zenoh in this process, reached over a port of the loopback.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np
import pytest
from reserved_ports import reserved_address
from scripted_bundle import scripted_team

from agent_node import zenoh_world
from agent_node.hello import Member
from agent_node.node import Node
from agent_node.robot_reading import parse_reading
from agent_node.ros_string import unwrapped, wrapped
from agent_node.standalone_world import StepGrid
from agent_node.world import Team
from agent_node.zenoh_world import Limits, ZenohWorld, zenoh_config
from heliograph.errors import MissingExtra, NetworkError, SettingsError

zenoh = pytest.importorskip("zenoh")
(ALONE,) = scripted_team(team_size=1)
OBSERVATION = [0.5] * ALONE.manifest.observation_size
PATIENCE_S = 60


class Robot:
    """Puts readings, and keeps what it is told."""

    def __init__(self, session: Any, loop: asyncio.AbstractEventLoop, *, ros_strings: bool = False) -> None:
        self.told: list[dict[str, Any]] = []
        self._session, self._loop, self._ros_strings = session, loop, ros_strings
        session.declare_subscriber("heliograph/0/action", self._hand_over)

    def say(self, reading: Any) -> None:
        text = json.dumps(reading)
        self._session.put("heliograph/0/observation", wrapped(text) if self._ros_strings else text)

    async def until(self, holds: Callable[[list[dict[str, Any]]], bool], *, saying: Any = None) -> None:
        """Wait until it holds of what was told, meanwhile saying a reading every now and then."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self.told):
                if saying is not None:
                    self.say(saying)
                await asyncio.sleep(0.01)

    def _hand_over(self, sample: Any) -> None:
        data = sample.payload.to_bytes()
        told = json.loads(unwrapped(data) if self._ros_strings else data)
        self._loop.call_soon_threadsafe(self.told.append, told)


class Unhurried(StepGrid):
    """Its steps follow one another however long each takes, so that none is left out."""

    def __init__(self) -> None:
        super().__init__(period_s=1.0, origin_unix_s=0.0)

    async def next_step(self) -> tuple[int, int]:
        await asyncio.sleep(0)
        self._last += 1
        return 0, self._last


@contextmanager
def endpoint() -> Iterator[str]:
    with reserved_address() as address:
        yield f"tcp/{address}"


@asynccontextmanager
async def running(
    limits: Limits, *, grid: StepGrid | None = None, **options: Any
) -> AsyncIterator[tuple[Robot, ZenohWorld, asyncio.Task[None]]]:
    """A robot and a node of its own, which is cancelled at the end if it has not ended by itself."""

    async def start() -> StepGrid:
        return grid or StepGrid(period_s=0.02, origin_unix_s=time.time())

    with endpoint() as place, zenoh.open(zenoh_config(listen=[place])) as session:
        robot = Robot(session, asyncio.get_running_loop(), ros_strings=options.get("ros_strings", False))
        world = ZenohWorld(
            team=Team(run_id="test", run_seed=1, greedy=True),
            roster=[Member(slot=0, peer_address="127.0.0.1:1")],
            config=zenoh_config(connect=[place]),
            start=start,
            limits=limits,
            **options,
        )
        task = asyncio.create_task(Node(ALONE).run(world))
        try:
            yield robot, world, task
        finally:
            task.cancel()
            await asyncio.wait([task], timeout=PATIENCE_S)


def actions(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in told if "action" in each]


@pytest.mark.parametrize("ros_strings", [False, True], ids=["JSON", "ROS 2"])
def test_what_it_sees_becomes_actions_and_the_end_is_a_stop(ros_strings: bool) -> None:
    async def scenario() -> None:
        patient = Limits(stale_s=PATIENCE_S, gone_s=PATIENCE_S)
        async with running(patient, grid=Unhurried(), steps=12, ros_strings=ros_strings) as (robot, _, task):
            mask = [action == 3 for action in range(ALONE.manifest.actions.mask_size)]
            await robot.until(lambda told: task.done(), saying={"observation": OBSERVATION, "mask": mask})
            await task
            await robot.until(lambda told: any("stop" in each for each in told[-1:]))
            done = actions(robot.told)
            assert done
            assert {each["action"] for each in done} == {3}
            steps = [each["step"] for each in done]
            assert steps == sorted(set(steps))
            assert steps[-1] < 12
            assert robot.told[-1] == {"stop": "the node has ended"}
            assert sum("stop" in each for each in robot.told) == 1

    asyncio.run(scenario())


def test_of_a_stale_observation_nothing_is_done_until_there_is_another() -> None:
    async def scenario() -> None:
        async with running(Limits(stale_s=0.1, gone_s=PATIENCE_S)) as (robot, _, task):
            await robot.until(actions, saying={"observation": OBSERVATION})
            await robot.until(lambda told: told[-1] == {"stop": "no observation for 0.1 s"})
            before = len(robot.told)
            await robot.until(lambda told: len(told) > before, saying={"observation": OBSERVATION})
            assert "action" in robot.told[before]
            assert not task.done()
            task.cancel()
            await robot.until(lambda told: told[-1] == {"stop": "the node has ended"})

    asyncio.run(scenario())


def test_a_robot_that_is_gone_is_told_to_stop_and_why_is_said() -> None:
    async def scenario() -> None:
        async with running(Limits(stale_s=0.1, gone_s=0.5)) as (robot, world, task):
            await robot.until(actions, saying={"observation": OBSERVATION})
            await robot.until(lambda told: task.done(), saying={"observation": [*OBSERVATION, 1.0]})
            with pytest.raises(NetworkError) as raised:
                await task
            size = ALONE.manifest.observation_size
            assert "the robot at heliograph/0/observation has sent no observation for 0.5 s" in raised.value.message
            assert f"messages were refused, the last because observation has {size + 1} numbers" in raised.value.message
            assert world.refused > 0
            await robot.until(lambda told: told[-1] == {"stop": "the node has ended"})
            last = max(place for place, each in enumerate(robot.told) if "action" in each)
            assert robot.told[last + 1 :] == [{"stop": "no observation for 0.1 s"}, {"stop": "the node has ended"}]

    asyncio.run(scenario())


@pytest.mark.slow
def test_what_came_while_the_node_was_held_up_is_as_old_as_it_is() -> None:
    async def scenario() -> None:
        async with running(Limits(stale_s=0.3, gone_s=PATIENCE_S)) as (robot, _, _task):
            await robot.until(actions, saying={"observation": OBSERVATION})
            before = actions(robot.told)[-1]["step"]
            robot.say({"observation": OBSERVATION})
            time.sleep(1.0)  # the node's event loop stands still, too
            await robot.until(lambda told: "stop" in told[-1])
            after = [each["step"] for each in actions(robot.told) if each["step"] > before + 40]
            assert not after, "it acted on what came a second ago"

    asyncio.run(scenario())


def test_waiting_for_a_robot_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> None:
        async with running(Limits(start_s=0.2)) as (_, _, task):
            await task

    with pytest.raises(NetworkError, match=r"has sent no observation for 0\.2 s\. Look at the robot"):
        asyncio.run(silent())
    monkeypatch.setattr(zenoh_world, "CONNECT_S", 0.2)

    async def nobody(place: str) -> None:
        world = ZenohWorld(
            team=Team(run_id="test", run_seed=1, greedy=True),
            roster=[],
            config=zenoh_config(connect=[place]),
            start=asyncio.Event().wait,  # type: ignore[arg-type]
        )
        await Node(ALONE).run(world)

    with (
        endpoint() as place,
        pytest.raises(NetworkError, match="no robot can be reached over Zenoh: Unable"),
    ):
        asyncio.run(nobody(place))


def test_what_cannot_be_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="limits must be above 0"):
        Limits(stale_s=2, gone_s=1)
    with pytest.raises(SettingsError, match="Zenoh does not take these endpoints"):
        zenoh_config(connect=["somewhere"])
    monkeypatch.setitem(sys.modules, "zenoh", None)
    with pytest.raises(MissingExtra, match="a robot behind Zenoh needs zenoh, which is not installed"):
        zenoh_config()


def test_a_reading_is_what_a_robot_may_say() -> None:
    first, _, _ = scripted_team(team_size=3)
    others = (1, 2)
    said = {"observation": OBSERVATION, "receives_from": [2], "sends_to": []}
    reading = parse_reading(json.dumps(said).encode(), first.manifest, others)
    assert reading.observation.dtype == np.float32
    assert (reading.receives_from, reading.sends_to) == ((2,), ())
    assert reading.mask.all()
    assert parse_reading(json.dumps({"observation": OBSERVATION}).encode(), first.manifest, others).sends_to == (1, 2)
    large = {"9" * 400: "has a number of 400 digits", "9" * 39 + ".5": "too large", "1e39": "too large"}
    for data, why in {
        b"": "is not JSON",
        b"\xff": "is not UTF-8",
        b"[" * 99_999: "nested too deeply",
        b" " * (2**20 + 1): "it has more than 1048576 bytes",
        b"[1]": "it is no object",
        b'{"observation": [1], "speed": 1}': "it is no object",
        b"{}": "observation is no list of numbers",
        b'{"observation": [true]}': "observation is no list of numbers",
        b'{"observation": [NaN]}': "is not JSON",
        b'{"observation": [1]}': "observation has 1 numbers, and the bundle takes 6",
        **{
            json.dumps({"observation": OBSERVATION[1:]}).replace("]", f", {big}]").encode(): why
            for big, why in large.items()
        },
        json.dumps(said | {"mask": [True]}).encode(): "mask is no list of 5 true and false",
        json.dumps(said | {"mask": [False] * 5}).encode(): "mask has no legal action",
        json.dumps(said | {"receives_from": [0]}).encode(): "receives_from is no list of other agents' slots",
        json.dumps(said | {"sends_to": [3]}).encode(): "sends_to is no list of other agents' slots",
        json.dumps(said | {"sends_to": 1}).encode(): "sends_to is no list",
    }.items():
        with pytest.raises(ValueError, match=why):
            parse_reading(data, first.manifest, others)


def test_a_string_of_ros_is_written_as_cdr_says() -> None:
    assert wrapped("ab") == bytes.fromhex("0001000003000000616200")
    assert unwrapped(wrapped('{"é"}') + b"\0\0") == '{"é"}'.encode(), "DDS may pad what follows"
    for payload in (
        *(b"", b"{}", b"\x00\x01\x00\x00\x03\x00", b"\x00\x00" + wrapped("ab")[2:], wrapped("ab")[:-1]),
        *(wrapped("ab")[:-1] + b"c", b"\x00\x01\x00\x00" + bytes(4), b"\x00\x01\x00\x00\xff\xff\xff\xffab\0"),
    ):
        with pytest.raises(ValueError, match=r"it is no std_msgs/String|not as long as it says"):
            unwrapped(payload)
