"""Newer bundles in a team of real processes: all slots go on with them at the same episode, or none does."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from hand_set_deadline import HandSetDeadline
from plain_node import PlainNode
from process_stage import Stage
from relay_team import relay_bundles
from scripted_bundle import save_team
from test_coordinator_commands import read_until, running

from coordinator.plan.pace import Pace
from coordinator.plan.plan import make_plan
from coordinator.running.hot_swap import Versions
from coordinator.running.in_process import LocalTeam
from coordinator.running.newer_bundles import Following
from coordinator.running.report import Version
from coordinator.serving.bundle_store import BundleStore
from coordinator.serving.server import CoordinationServer
from coordinator.serving.settings import TeamSettings
from coordinator.serving.supervisor import Supervisor, node_command
from coordinator.world.trajectory import StepRecord
from heliograph.bundle import Bundle
from heliograph.certificates.signing_keys import make_signing_key, read_signing_key
from heliograph.cli import main
from heliograph.codecs import LatentTables
from heliograph.transports import TRANSPORTS

pytestmark = pytest.mark.usefixtures("warm_teams")

AGENTS, LENGTH = 3, 8
TABLES = [LatentTables(np.random.default_rng(seed).integers(1, 90, (4, 8))) for seed in range(2)]
OLD, NEW = (
    relay_bundles(AGENTS, length=LENGTH, tables=tables, training_step=step)
    for step, tables in enumerate(TABLES, start=1)
)


def following(folder: Path, stage: Stage, *, codec: str = "bit-packed") -> Versions:
    plan = make_plan(stage.bundles, codec=codec)
    return Versions(
        Following(bundles=folder), plan, [plan.world("open")], connect_timeout_s=10, on_switch=lambda bundles: None
    )


def said(records: Sequence[StepRecord]) -> list[tuple[list[int], list[list[int]]]]:
    """Actions and latents of each step."""
    return [(record.action.tolist(), record.latent.tolist()) for record in records]


def alone(bundles: Sequence[Bundle], stage: Stage, episode: int) -> list[tuple[list[int], list[list[int]]]]:
    """What these bundles do and say in one process."""
    records: list[StepRecord] = []
    team = LocalTeam(bundles, run_seed=stage.run_seed, greedy=False)
    world = make_plan(bundles).world("open")
    team.run_episode(world, episode=episode, observe=records.append, report_latents=True)
    return said(records)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = ("coordinator.running.hot_swap", "coordinator.running.newer_bundles")
    return [r.getMessage() for r in caplog.records if r.name in ours and r.levelno >= logging.WARNING]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_all_slots_switch_at_the_same_episode_and_a_mixture_is_never_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    folder = save_team(OLD, tmp_path / "bundles")

    async def play() -> None:
        over = Stage(OLD, tmp_path / "logs", codec="entropy", options=lambda slot: ("--transport", transport))
        async with asyncio.timeout(60), over as stage:
            versions = following(folder, stage, codec="entropy")
            for episode in range(5):
                if episode == 1:
                    NEW[1].save(folder / "agent-1")
                if episode == 3:
                    save_team(NEW, folder)
                await versions.before(episode, stage.server)
                _, records = await stage.play(episode=episode)
                assert said(records) == alone(OLD if episode < 3 else NEW, stage, episode), episode
                assert not any(record.masked.any() for record in records), "every stream was there in time"
            assert versions.used == [Version.of(OLD, first_episode=0), Version.of(NEW, first_episode=3)]
            links = (await stage.team.reading()).links
            assert len(links) == AGENTS * (AGENTS - 1)
            assert all((link.missing, link.rejected) == (0, 0) for link in links)

            await stage.kill(1)
            await stage.until(lambda: stage.team.live == (0, 2), "node 1 is gone")
            async with PlainNode(stage.server.address, OLD[1]) as late_comer:
                status, sentence = await late_comer.status()
            assert status == "FAILED_PRECONDITION"
            assert OLD[1].digest[:12] in sentence
            assert NEW[1].digest[:12] in sentence
            stage.supervisor.ended()
            stage.supervisor.start(1)
            await stage.all_connected()
            await versions.before(5, stage.server)
            assert said((await stage.play(episode=5))[1]) == alone(NEW, stage, 5)

    asyncio.run(play())
    (mixture,) = warnings(caplog)
    for part in (OLD[0].digest[:12], NEW[1].digest[:12], "training step 1", "training step 2", "different versions"):
        assert part in mixture


def test_nobody_switches_while_one_node_cannot(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_signing_key(tmp_path / "key")
    key = read_signing_key(tmp_path / "key")
    old = [bundle.sign(key) for bundle in OLD]
    folder = save_team(old, tmp_path / "bundles")

    async def play() -> None:
        options = {1: ("--trusted-key", str(tmp_path / "key.pub"))}
        stage = Stage(old, tmp_path / "logs", options=lambda slot: options.get(slot, ()))
        async with asyncio.timeout(60), stage:
            versions = following(folder, stage)
            for episode in range(3):
                if episode == 0:
                    save_team(NEW, folder)
                if episode == 2:
                    assert len(warnings(caplog)) == 1, "what failed is not tried again"
                    save_team([bundle.sign(key) for bundle in NEW], folder)
                await versions.before(episode, stage.server)
                _, records = await stage.play(episode=episode)
                assert said(records) == alone(old if episode < 2 else NEW, stage, episode), episode
            assert [version.first_episode for version in versions.used] == [0, 2]

    asyncio.run(play())
    (unsigned,) = warnings(caplog)
    assert f"slot 1 ({NEW[1].digest[:12]})" in unsigned
    assert "bundle is not signed" in unsigned
    assert "slot 0" not in unsigned


def test_who_is_stopped_or_killed_meanwhile_comes_back_with_what_the_others_have(tmp_path: Path) -> None:
    options: dict[int, tuple[str, ...]] = {}

    async def play() -> None:
        async with asyncio.timeout(60), Stage(OLD, tmp_path, options=lambda slot: options.get(slot, ())) as stage:

            async def plays(bundles: Sequence[Bundle], episode: int) -> None:
                await stage.all_connected()
                assert said((await stage.play(episode=episode))[1]) == alone(bundles, stage, episode), episode

            stage.send_signal(1, signal.SIGSTOP)
            deadline = HandSetDeadline(stage.team, timeout_s=0.5)
            deadline.passes_once_after([0, 2])
            assert await stage.server.hand_on(NEW, timeout_s=0.5) == {1: "did not answer within 0.5 s"}
            stage.send_signal(1, signal.SIGCONT)
            await plays(OLD, 0)
            assert await stage.server.hand_on(NEW, timeout_s=30) == {}, "a late answer does no harm"
            await plays(NEW, 1)

            async def stop(step: int) -> None:
                if step == 3:
                    stage.send_signal(1, signal.SIGSTOP)
                    deadline.passes_once_after([0, 2])

            await stage.play(episode=2, script=stop, pace=Pace(action_deadline_s=0.5, message_deadline_s=0.2))
            assert stage.team.unresponsive == (1,)
            assert await stage.server.hand_on(OLD, timeout_s=30) == {}, "nobody waits for who owes an answer"
            stage.send_signal(1, signal.SIGCONT)
            await stage.until(lambda: stage.team.unresponsive == (), "node 1 answers again")
            await plays(OLD, 3)

            stage.send_signal(1, signal.SIGSTOP)
            switching = asyncio.create_task(stage.server.hand_on(NEW, timeout_s=30))
            await stage.kill(1)
            assert await switching == {}
            assert stage.team.live == (0, 2)
            stage.supervisor.ended()
            options[1] = ("--bundle", str(save_team(NEW, tmp_path / "bundles") / "agent-1"))
            stage.supervisor.start(1)
            await plays(NEW, 4)
            own = await stage.server.hand_on(OLD, timeout_s=30)
            assert own == {1: "it was started with a bundle of its own, and fetches none"}
            await plays(NEW, 5)

    asyncio.run(play())


def test_a_node_whose_bundle_is_replaced_before_it_has_joined_fetches_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out: list[int] = []

    def bundle(_bundles: BundleStore, slot: int, digest: str = "") -> Bundle:
        """The old one, if it is asked for just before the switch."""
        handed_out.append(slot)
        return (OLD if len(handed_out) == 1 else NEW)[slot]

    async def check() -> None:
        async with asyncio.timeout(60), CoordinationServer(NEW, TeamSettings(run_seed=0, greedy=True)) as server:
            with Supervisor(
                lambda slot: node_command(server.address, slot, join_timeout_s=30), log_folder=tmp_path
            ) as nodes:
                nodes.start(1)
                assert await server.team.wait_until(lambda: server.team.live == (1,), timeout_s=30)

    monkeypatch.setattr(BundleStore, "bundle", bundle)
    asyncio.run(check())
    assert handed_out == [1, 1]
    assert "fetching the bundle again cause=" in (tmp_path / "agent-1.log").read_text()


def test_the_command_follows_a_run_under_tls_with_signed_bundles(tmp_path: Path) -> None:
    make_signing_key(tmp_path / "key")
    key, certificates = read_signing_key(tmp_path / "key"), tmp_path / "certificates"
    assert main(["certificates", "init", str(certificates)]) == 0
    assert main(["certificates", "issue", str(certificates), "--team", "2"]) == 0
    first, second, third = (
        [bundle.sign(key) for bundle in relay_bundles(2, length=LENGTH, training_step=step)] for step in (7, 8, 9)
    )
    save_team(first, tmp_path / "run" / "bundles")
    safe = ["--tls", str(certificates), "--trusted-key", str(tmp_path / "key.pub")]
    command = ["coordinator", "--follow", tmp_path / "run", "--listen", "127.0.0.1:0", "--episodes", 100_000]
    command += ["--json", tmp_path / "report.json", "--metrics", "127.0.0.1:0", "--log-level", "info"]
    with running(*command, *safe, say="waiting for 2 nodes at") as (process, _, heard):
        while "\n" not in heard[heard.index("nodes at") :]:
            heard += process.stderr.read1(64).decode()
        address = re.search(r"nodes at (\S+)", heard).group(1)
        metrics = re.search(r"metrics at (\S+)", heard).group(1)

        def start_command(slot: int) -> list[str]:
            return [*node_command(address, slot, join_timeout_s=30), *safe]

        with Supervisor(start_command, log_folder=tmp_path / "logs") as nodes:
            nodes.start(0)
            nodes.start(1)
            read_until(process.stderr, "running address")
            # The second may be there before any episode of the first; the third comes after at least one of the second.
            for newer, step in ((second, 8), (third, 9)):
                save_team(newer, tmp_path / "run" / "bundles")
                assert "switched bundles" in read_until(process.stderr, f"training_step={step}")
            with urlopen(metrics, timeout=10) as page:
                shown = page.read().decode()
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=30)
            assert nodes.wait(timeout_s=15) == {0: 0, 1: 0}
    assert process.returncode == 130
    remark = " ".join(printed.decode().split())
    assert re.search(r"from episode \d+ training step 8 \(.*from episode [1-9]\d* training step 9 \(", remark)
    versions = json.loads((tmp_path / "report.json").read_text())["versions"]
    assert [(version["training_step"], version["digests"]) for version in versions[-2:]] == [
        (step, [bundle.digest for bundle in team]) for step, team in ((8, second), (9, third))
    ]
    described = re.findall(r"^heliograph_run_bundle_info\{(.*)\} 1.0$", shown, re.MULTILINE)
    assert len(described) == 2
    assert all('training_step="9"' in labels for labels in described)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "Name them with --bundles, or --follow a run"),
        (["--follow", "run", "--record", "trace"], 2, "--record is of a run with the same bundles"),
        (["--follow", "run", "--resume", "log"], 2, "--resume is of a run with the same bundles"),
        (["--follow", "run"], 2, "there are no bundles to begin with (run holds no run)"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    arguments: list[str],
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["coordinator", *arguments]) == code
    assert sentence in " ".join(capsys.readouterr().err.split())
