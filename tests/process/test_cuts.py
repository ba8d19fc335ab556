"""The way between nodes and coordinator is cut: the world waits, and goes on where it stood, as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from hand_set_deadline import HandSetDeadline
from process_stage import PATIENT, Stage
from relay_team import relay_bundles
from tcp_detour import TcpDetour

from coordinator.world.trajectory import EpisodeResult, StepRecord
from heliograph import rpc
from heliograph.certificates.folder import make_team, team

pytestmark = pytest.mark.usefixtures("warm_teams")

LENGTH = 12
BUNDLES = relay_bundles(3, length=LENGTH)
EVERYBODY = (0, 1, 2)

Played = tuple[EpisodeResult, list[StepRecord], Stage]
Cutting = Callable[[Stage, int], Awaitable[None]]


def play(
    folder: Path,
    script: Cutting | None,
    *,
    ways_in: Sequence[int] = (),
    detour: TcpDetour | None = None,
    certificates: Path | None = None,
    rejoin_s: float = 30.0,
    whole: bool = True,
) -> Played:
    """Play one episode, with the ways to the coordinator of these slots over one detour.

    `whole`: no message is lost.
    """

    async def run() -> Played:
        async with asyncio.timeout(100), AsyncExitStack() as stack:
            if detour is not None:
                await stack.enter_async_context(detour)
            ways = {} if detour is None else dict.fromkeys(ways_in, detour)
            stage = Stage(BUNDLES, folder, ways_in=ways, certificates=certificates, rejoin_s=rejoin_s)
            await stack.enter_async_context(stage)

            async def each_step(step: int) -> None:
                if script is not None:
                    await script(stage, step)

            result, records = await stage.play(script=each_step)
            assert not whole or all(link.missing == 0 for link in (await stage.team.reading()).links)
            return result, records, stage

    return asyncio.run(run())


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("uncut"), None)


def assert_went_on(uncut: Played, found: Played) -> None:
    """Bit for bit: nobody lost its memory, lived through a step twice or spoke into the void."""
    (whole, expected, _), (result, records, stage) = uncut, found
    assert (result.idle, result.masked, result.outcome) == (0, 0, whole.outcome)
    for one, other in zip(records, expected, strict=True):
        for name in ("action", "latent", "observation"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), (name, one.step)
    assert stage.exit_codes == dict.fromkeys(EVERYBODY, 0)


def heal_when_lost(stage: Stage, detour: TcpDetour, live: tuple[int, ...]) -> asyncio.Task[None]:
    async def heal() -> None:
        await stage.until(lambda: stage.team.live == live, f"only {live} are left")
        detour.heal()

    return asyncio.create_task(heal())


@pytest.mark.parametrize("secure", [False, True], ids=["plaintext", "TLS"])
def test_a_team_goes_on_where_it_stood_after_cuts_from_its_coordinator(
    uncut: Played, tmp_path: Path, secure: bool
) -> None:
    certificates = tmp_path / "certificates" if secure else None
    if certificates is not None:
        make_team(certificates, team(3))
    detour, healing = TcpDetour(), []

    async def script(stage: Stage, step: int) -> None:
        if step in (3, 7):
            detour.sever()
            healing.append(heal_when_lost(stage, detour, ()))
        if step == 3:  # while nobody owes an answer; at step 7 while all do
            await healing[0]

    found = play(tmp_path, script, ways_in=EVERYBODY, detour=detour, certificates=certificates)
    assert_went_on(uncut, found)
    cuts = found[2].team.cuts
    assert [(cut.episode, cut.step, cut.slots, cut.back) for cut in cuts] == [
        (0, 3, EVERYBODY, EVERYBODY),
        (0, 7, EVERYBODY, EVERYBODY),
    ]
    assert sum(cut.seconds for cut in cuts) == pytest.approx(found[2].team.paused_s)


def test_a_link_that_drops_everything_is_a_cut_once_the_keepalive_has_noticed(
    uncut: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = [(name, 1000 if value == rpc.KEEPALIVE_MS else value) for name, value in rpc._SHARED_OPTIONS]
    monkeypatch.setattr(rpc, "_SHARED_OPTIONS", tuple(quick))
    detour, healing = TcpDetour(), []

    async def script(stage: Stage, step: int) -> None:
        if step == 5:
            detour.freeze()
            healing.append(heal_when_lost(stage, detour, ()))

    found = play(tmp_path, script, ways_in=EVERYBODY, detour=detour)
    assert_went_on(uncut, found)
    assert [(cut.step, cut.slots, cut.back) for cut in found[2].team.cuts] == [(5, EVERYBODY, EVERYBODY)]


def test_a_pause_of_the_network_that_breaks_no_connection_is_none(uncut: Played, tmp_path: Path) -> None:
    """Nobody answers in time, so nobody can have been asked: the step is held, and no agent idles."""
    detour, healing = TcpDetour(), []

    async def script(stage: Stage, step: int) -> None:
        async def heal() -> None:
            await stage.until(lambda: stage.team.is_held, "the step is held")
            detour.heal()

        if step == 5:
            detour.freeze()
            HandSetDeadline(stage.team, timeout_s=PATIENT.action_deadline_s).passes_once_after([])
            healing.append(asyncio.create_task(heal()))

    found = play(tmp_path, script, ways_in=EVERYBODY, detour=detour)
    assert_went_on(uncut, found)
    assert found[2].team.cuts == []


def test_a_node_that_its_peers_still_hear_is_waited_for(uncut: Played, tmp_path: Path) -> None:
    detour, healing = TcpDetour(), []

    async def script(stage: Stage, step: int) -> None:
        if step == 4:
            detour.sever()
            healing.append(heal_when_lost(stage, detour, (0, 2)))

    found = play(tmp_path, script, ways_in=(1,), detour=detour)
    assert_went_on(uncut, found)
    assert [(cut.step, cut.slots, cut.back) for cut in found[2].team.cuts] == [(4, (1,), (1,))]


def test_a_node_that_dies_during_a_cut_is_not_waited_for_once_the_others_are_back(tmp_path: Path) -> None:
    detour = TcpDetour()

    async def script(stage: Stage, step: int) -> None:
        if step == 4:
            detour.sever()
            await stage.until(lambda: stage.team.live == (), "all are cut off")
            await stage.kill(2)
            detour.heal()

    result, records, stage = play(tmp_path, script, ways_in=EVERYBODY, detour=detour, whole=False)
    assert [record.acted.tolist() for record in records] == [[True] * 3] * 4 + [[True, True, False]] * (LENGTH - 4)
    assert result.idle == LENGTH - 4
    assert [(cut.slots, cut.back) for cut in stage.team.cuts] == [(EVERYBODY, (0, 1))]


def test_a_node_that_does_not_come_back_in_time_is_given_up_and_ends(tmp_path: Path) -> None:
    detour = TcpDetour()

    async def script(stage: Stage, step: int) -> None:
        if step == 4:
            detour.sever()
            await stage.until(lambda: stage.team.live == (0, 2), "one is cut off")

    result, _, stage = play(tmp_path, script, ways_in=(1,), detour=detour, whole=False, rejoin_s=1.0)
    assert result.idle == LENGTH - 4
    assert [(cut.slots, cut.back) for cut in stage.team.cuts] == [((1,), ())]
    assert stage.exit_codes == {0: 0, 1: 7, 2: 0}
    assert "cannot be reached within 1 s" in stage.supervisor.log_path(1).read_text()
