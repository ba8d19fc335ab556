"""Certificates that run out and are renewed while processes run: reloaded everywhere, told before and after."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from agent_node.coordinator_world import CoordinatorWorld
from heliograph import health_command, rpc
from heliograph.certificates import validity
from heliograph.certificates.authority import CLOCK_SKEW, Authority
from heliograph.certificates.command import COMMAND
from heliograph.certificates.folder import write_authority, write_certificates
from heliograph.certificates.identity import COORDINATOR, Identity
from heliograph.cli import run
from heliograph.errors import CoordinatorGone, NetworkError
from heliograph.metrics import days_to_expiry
from heliograph.renewed_channel import RenewedChannel
from heliograph.tls import Tls

ZERO = Identity(slot=0)
SECOND = 1 / 86400
ENDED = -60 * SECOND
"""The lifetime of a certificate that ended a minute ago."""
DEADLINE_S = 20.0

LOOP = asyncio.Runner()
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


def play(script: Awaitable[None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await script

    LOOP.run(within())


@pytest.fixture
def team(tmp_path: Path) -> Callable[..., Path]:
    """Issue certificates for the coordinator and slot 0 into a folder, anew each time; with so many days for slot 0."""
    authority = Authority.make(days=1)
    write_authority(authority, tmp_path)

    def issue(*, days: float, renew: bool = False) -> Path:
        issued = {COORDINATOR: authority.issue(COORDINATOR, days=1), ZERO: authority.issue(ZERO, days=days)}
        write_certificates(issued, tmp_path, authority=tmp_path, renew=renew)
        return tmp_path

    return issue


class Heard(logging.Handler):
    """Waits for what loggers say."""

    def __init__(self, *loggers: str) -> None:
        super().__init__()
        self._loggers, self.lines, self._more = loggers, list[str](), asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self._more.set()

    def __enter__(self) -> Heard:
        for name in self._loggers:
            logging.getLogger(name).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in self._loggers:
            logging.getLogger(name).removeHandler(self)

    async def until(self, part: str) -> str:
        while not (said := next((line for line in self.lines if part in line), "")):
            self._more.clear()
            await self._more.wait()
        return said


def tls_of_old(folder: Path) -> Tls:
    """That of a process that has taken the certificate while it was good, which it is no more.

    A certificate that is good when the test begins may have ended before it is taken.
    """
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validity, "_now", lambda: before)
        tls = Tls(folder)
        assert not tls.trouble()
    assert tls.trouble()
    return tls


@asynccontextmanager
async def healthy(tls: Tls, *, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """A server with nothing but health, that of the coordinator."""
    server = rpc.server(max_message_bytes=rpc.MAX_CONTROL_BYTES)
    health = rpc.Health(server)
    port = rpc.bind(server, address, tls=tls)
    await server.start()
    await health.serving()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


@pytest.mark.slow
def test_a_node_that_waits_for_its_coordinator_takes_the_certificate_that_replaces_an_expired_one(
    team: Callable[..., Path],
) -> None:
    async def script() -> None:
        folder = team(days=ENDED)
        tls = tls_of_old(folder / "slot-0")
        async with healthy(Tls(folder / "coordinator")) as address:
            world = CoordinatorWorld(address, join_timeout_s=1.0, tls=tls)
            with pytest.raises(CoordinatorGone, match=r"within 1 s: UNAVAILABLE .*; tls.crt in .* expired .*--renew"):
                await world.fetch_bundle(0)
            await world.leave()
            world = CoordinatorWorld(address, join_timeout_s=DEADLINE_S, tls=tls)
            fetching = asyncio.create_task(world.fetch_bundle(0))
            with contextlib.suppress(TimeoutError):  # at least one try with the one that has expired
                await asyncio.wait_for(asyncio.shield(fetching), 0.2)
            team(days=1, renew=True)
            # Connected: the server has no bundles, and says so.
            with pytest.raises(CoordinatorGone, match="UNIMPLEMENTED"):
                await fetching
            await world.leave()

    play(script())


def test_whoever_asks_after_health_takes_a_renewed_certificate_and_names_one_that_has_expired(
    team: Callable[..., Path],
) -> None:
    async def script() -> None:
        folder = team(days=1)
        async with healthy(Tls(folder / "coordinator")) as address:
            asking = asyncio.create_task(health_command._status(address, wait_s=DEADLINE_S, folder=folder / "slot-0"))
            assert await asking == "SERVING"
            team(days=ENDED, renew=True)
            own = tls_of_old(folder / "slot-0")
            channel = RenewedChannel(address, max_message_bytes=4096, tls=own)
            with pytest.raises(NetworkError) as refused:
                await rpc.health_status(await channel.newest(), timeout_s=DEADLINE_S)
            assert "tls.crt" in channel.cause(refused.value)
            team(days=1, renew=True)
            assert await rpc.health_status(await channel.newest(), timeout_s=DEADLINE_S) == "SERVING"
            await channel.close()

    play(script())


def test_a_server_whose_certificate_has_expired_serves_again_once_it_is_renewed(tmp_path: Path) -> None:
    authority = Authority.make(days=1)
    write_authority(authority, tmp_path)

    def issue(days: float, *, renew: bool) -> None:
        issued = {COORDINATOR: authority.issue(COORDINATOR, days=days), ZERO: authority.issue(ZERO, days=1)}
        write_certificates(issued, tmp_path, authority=tmp_path, renew=renew)

    async def script() -> None:
        issue(ENDED, renew=False)
        serving, asking = tls_of_old(tmp_path / "coordinator"), Tls(tmp_path / "slot-0")
        async with healthy(serving) as address:
            async with rpc.channel(address, max_message_bytes=4096, tls=asking) as channel:
                with pytest.raises(NetworkError, match="certificate has expired"):
                    await rpc.health_status(channel, timeout_s=DEADLINE_S)
            issue(1, renew=True)
            async with rpc.channel(address, max_message_bytes=4096, tls=asking) as channel:
                assert await rpc.health_status(channel, timeout_s=DEADLINE_S) == "SERVING"

    play(script())


def test_a_certificate_is_warned_of_when_a_tenth_of_its_life_is_left_and_when_it_is_over(
    team: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script() -> None:
        # Valid from five minutes before it was issued, so the last tenth is the last half minute.
        folder = team(days=SECOND)
        (slot,) = x509.load_pem_x509_certificates((folder / "slot-0" / "tls.crt").read_bytes())
        # Its last moment, which lasts until the test has heard of it.
        now = slot.not_valid_after_utc - datetime.timedelta(seconds=0.01)
        monkeypatch.setattr(validity, "_now", lambda: now)
        tls = Tls(folder / "slot-0")
        with Heard("heliograph.tls") as heard:
            async with tls.watched():
                ending = await heard.until("certificate ending")
                assert "days_left=0.00" in ending
                assert "--renew" in ending
                now += datetime.timedelta(seconds=1.01)
                assert "certificate expired" in await heard.until("certificate expired")
                # And of what replaces it nothing is said until it ends in its turn.
                team(days=1, renew=True)
            assert tls.validities[0].state == "good"

    play(script())


def test_with_a_little_more_than_a_tenth_left_nothing_is_said_and_with_a_little_less_it_is(
    team: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = team(days=0.5)
    (slot,) = x509.load_pem_x509_certificates((folder / "slot-0" / "tls.crt").read_bytes())
    life = slot.not_valid_after_utc - slot.not_valid_before_utc
    left, looks = 0.11, 0

    def now() -> datetime.datetime:
        nonlocal looks
        looks += 1
        return slot.not_valid_after_utc - left * life

    async def script() -> None:
        nonlocal left
        tls = Tls(folder / "slot-0")
        own = tls.validities[0]
        assert own.state == "good"
        assert own.next_change_s() == pytest.approx(0.01 * life.total_seconds(), abs=0.01)
        with Heard("heliograph.tls") as heard:
            async with tls.watched():
                before = looks
                while looks < before + 100:  # that is several rounds of the watch
                    await asyncio.sleep(0)
                assert heard.lines == []
                left = 0.09
                ending = await heard.until("certificate ending")
                assert f"days_left={0.09 * life.total_seconds() / 86400:.2f} " in ending
        assert len(heard.lines) == 1, "once, and not of the authority, which is good for longer"

    monkeypatch.setattr(validity, "_now", now)
    monkeypatch.setattr("heliograph.tls.LOOK_S", 0.0)
    play(script())


def test_how_many_days_are_left_is_logged_when_a_certificate_is_taken_and_when_it_is_replaced(
    team: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="heliograph.tls")
    tls = Tls(team(days=0.5) / "slot-0")
    team(days=0.25, renew=True)
    until = tls.validities[0].until
    first, second = caplog.messages
    assert first.startswith("certificate identity=heliograph://slot/0 until=")
    assert first.endswith(" days_left=0.50")
    assert second == f"certificate identity=heliograph://slot/0 until={until.isoformat()} days_left=0.25"


def test_days_to_expiry_are_exported(team: Callable[..., Path]) -> None:
    tls = Tls(team(days=0.5) / "slot-0")
    [family] = days_to_expiry(tls)
    assert family.name == "heliograph_certificate_days_to_expiry"
    found = {sample.labels["file"]: sample.value for sample in family.samples}
    assert {sample.labels["identity"] for sample in family.samples} == {"heliograph://slot/0"}
    assert found == {"tls.crt": pytest.approx(0.5, abs=0.01), "ca.crt": pytest.approx(1.0, abs=0.01)}
    team(days=0.25, renew=True)
    [family] = days_to_expiry(tls)
    assert family.samples[0].value == pytest.approx(0.25, abs=0.01), "of the certificate that serves now"
    assert list(days_to_expiry(None)) == []


def certificates(*arguments: object) -> int:
    return run({"certificates": COMMAND}, ["certificates", *map(str, arguments)])


def authorities(folder: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((folder / "ca.crt").read_bytes())


def test_a_renewal_keeps_the_other_authorities_that_are_trusted_unless_told_to_forget_them(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        assert certificates("init", folder) == 0
    short = Authority.make(days=-0.0001)
    assert certificates("issue", old, "--slot", 0, "--to", tmp_path) == 0
    slot = tmp_path / "slot-0"
    both = (old / "ca.crt").read_bytes() + (new / "ca.crt").read_bytes()
    (slot / "ca.crt").write_bytes(both + short.credential.certificate)
    [of_old], [of_new] = authorities(old), authorities(new)
    for issuer, order in ((old, [of_old, of_new]), (new, [of_new, of_old])):
        assert certificates("issue", issuer, "--slot", 0, "--to", tmp_path, "--renew") == 0
        assert authorities(slot) == order, "its own first, and what has expired is left out"
        assert Tls(slot).validities[1].until == order[0].not_valid_after_utc
    assert certificates("issue", new, "--slot", 0, "--to", tmp_path, "--renew", "--forget-others") == 0
    assert authorities(slot) == [of_new]
    # The authority's own folder may hold both as well, in any order.
    (new / "ca.crt").write_bytes(both)
    assert certificates("issue", new, "--slot", 1, "--to", tmp_path) == 0
    x509.load_pem_x509_certificate((tmp_path / "slot-1" / "tls.crt").read_bytes()).verify_directly_issued_by(of_new)


def test_what_a_renewal_that_was_cut_off_has_left_is_in_nobodys_way(tmp_path: Path) -> None:
    assert certificates("init", tmp_path) == 0
    assert certificates("issue", tmp_path, "--slot", 0) == 0
    slot = tmp_path / "slot-0"
    for name in ("tls.key.1.new", "tls.key.new", "tls.crt.new", "ca.crt.77.new"):
        (slot / name).write_bytes(b"half of it")
    assert certificates("issue", tmp_path, "--slot", 0, "--renew") == 0
    assert sorted(path.name for path in slot.iterdir()) == ["ca.crt", "tls.crt", "tls.key"]
    assert Tls(slot).identity == ZERO


def test_a_certificate_from_the_future_names_the_clock(
    team: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = team(days=1)
    tls = Tls(folder / "slot-0")
    early = datetime.datetime.now(datetime.UTC) - 2 * CLOCK_SKEW
    monkeypatch.setattr(validity, "_now", lambda: early)
    assert "is not valid before" in tls.trouble()
    assert "this machine's clock has not reached" in tls.trouble()
