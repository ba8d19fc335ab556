"""Channels and servers under TLS, over real sockets: who is refused and why, rotation, and limits of a server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from heliograph import rpc, tls
from heliograph.certificates.authority import Authority
from heliograph.certificates.folder import make_team, team, write_authority, write_certificates
from heliograph.certificates.identity import COORDINATOR, Identity
from heliograph.errors import SettingsError
from heliograph.tls import Tls, peer_identity

ZERO, ONE = Identity(slot=0), Identity(slot=1)
DEADLINE_S = 20.0
WHO = "/test.Who/Ask"

LOOP = asyncio.Runner()
"""One for the whole module: gRPC's poller can hold events for a closed loop, and then loses others with them."""


@pytest.fixture(scope="module", autouse=True)
def _one_loop() -> Iterator[None]:
    with LOOP:
        yield


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    make_team(tmp_path / "ours", team(2))
    return tmp_path / "ours"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    make_team(tmp_path / "theirs", team(2))
    return tmp_path / "theirs"


@asynccontextmanager
async def serving(tls: Tls | None) -> AsyncIterator[str]:
    """A server that tells its clients who they are, at the address yielded."""

    async def answer(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return str(peer_identity(context)).encode()

    server = rpc.server(max_message_bytes=rpc.MAX_PEER_BYTES)
    handlers = {"Ask": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Who", handlers),))
    port = rpc.bind(server, "127.0.0.1:0", tls=tls)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(grace=None)


async def ask(address: str, tls: Tls | None, peer: Identity | None = ZERO, *, try_again: bool = False) -> str:
    """Whom the server takes us for, or why there is no connection; with `try_again` one is tried for until there is."""
    async with rpc.channel(address, max_message_bytes=rpc.MAX_PEER_BYTES, tls=tls, peer=peer) as channel:
        try:
            answer = await channel.unary_unary(WHO)(b"", timeout=DEADLINE_S, wait_for_ready=try_again)
            return answer.decode()
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {error.details()}"


def play(script: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await script()

    LOOP.run(run())


def test_each_side_knows_the_other_by_its_certificate(ours: Path) -> None:
    async def script() -> None:
        async with serving(Tls(ours / "slot-0")) as address:
            assert await ask(address, Tls(ours / "slot-1")) == "heliograph://slot/1"
            assert await ask(address, Tls(ours / "coordinator")) == "heliograph://coordinator"
            assert await ask(address, Tls(ours / "slot-1"), None) == "heliograph://slot/1"
            for another in (ONE, COORDINATOR):
                assert "Hostname Verification" in await ask(address, Tls(ours / "slot-1"), another)
        async with serving(None) as address:
            assert await ask(address, None) == "None"

    play(script)


def test_strangers_are_refused_and_friends_still_served(ours: Path, theirs: Path, tmp_path: Path) -> None:
    async def script() -> None:
        friend = Tls(ours / "slot-1")
        async with serving(Tls(ours / "slot-0")) as address:
            assert "CERTIFICATE_VERIFY_FAILED" in await ask(address, Tls(theirs / "slot-1"))  # it does not trust us
            (theirs / "slot-1" / "ca.crt").write_bytes((ours / "ca.crt").read_bytes())
            assert (await ask(address, Tls(theirs / "slot-1"))).startswith("UNAVAILABLE")  # nor we it
            assert (await ask(address, None)).startswith("UNAVAILABLE")  # plaintext to TLS
            assert await ask(address, friend) == "heliograph://slot/1"
        async with serving(None) as address:
            assert "WRONG_VERSION_NUMBER" in await ask(address, friend)  # TLS to plaintext

    play(script)


def test_an_expired_certificate_serves_nobody(tmp_path: Path) -> None:
    authority = Authority.make(days=1)
    write_authority(authority, tmp_path)
    write_certificates(
        {ZERO: authority.issue(ZERO, days=1), ONE: authority.issue(ONE, days=-0.001)}, tmp_path, authority=tmp_path
    )
    with pytest.raises(SettingsError, match=r"slot-1 expired at .*--renew"):
        Tls(tmp_path / "slot-1")

    async def script() -> None:
        # One that was read in time and has expired since, so that only the other side can find it out.
        expired = grpc.ssl_channel_credentials(
            (tmp_path / "ca.crt").read_bytes(),
            (tmp_path / "slot-1" / "tls.key").read_bytes(),
            (tmp_path / "slot-1" / "tls.crt").read_bytes(),
        )
        async with serving(Tls(tmp_path / "slot-0")) as address:
            options = [("grpc.ssl_target_name_override", ZERO.host)]
            async with grpc.aio.secure_channel(address, expired, options=options) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(WHO)(b"", timeout=DEADLINE_S)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    play(script)


def test_replaced_files_serve_the_next_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Server and client go over to another authority, one after the other, without a restart."""
    old, new = Authority.make(days=1), Authority.make(days=1)
    both = old.credential.certificate + new.credential.certificate
    for name, authority in (("old", old), ("new", new)):
        write_authority(authority, tmp_path / name)
    write_certificates({one: old.issue(one, days=1) for one in (ZERO, ONE)}, tmp_path, authority=tmp_path / "old")
    by_new = {one: new.issue(one, days=1) for one in (ZERO, ONE)}
    (tmp_path / "new" / "ca.crt").write_bytes(both)

    def renew(identity: Identity) -> None:
        write_certificates({identity: by_new[identity]}, tmp_path, authority=tmp_path / "new", renew=True)

    async def script() -> None:
        server, client = Tls(tmp_path / "slot-0"), Tls(tmp_path / "slot-1")
        credentials = client.channel_credentials()
        async with serving(server) as address:
            async with rpc.channel(address, max_message_bytes=4096, tls=client, peer=ZERO) as lasting:
                ask_on = lasting.unary_unary(WHO)
                assert await ask_on(b"") == b"heliograph://slot/1"
                assert client.channel_credentials() is credentials
                renew(ZERO)
                assert "CERTIFICATE_VERIFY_FAILED" in await ask(address, client)  # trusts the old authority alone
                renew(ONE)
                assert client.channel_credentials() is not credentials
                assert await ask(address, client) == "heliograph://slot/1"
                assert await ask_on(b"") == b"heliograph://slot/1"  # what is connected stays so
            # A key without its certificate, then a certificate of somebody else: what was before serves on.
            (tmp_path / "slot-0" / "tls.key").write_bytes(old.issue(ZERO, days=1).key)
            assert await ask(address, client) == "heliograph://slot/1"
            stolen = new.issue(ONE, days=1)
            (tmp_path / "slot-0" / "tls.key").write_bytes(stolen.key)
            (tmp_path / "slot-0" / "tls.crt").write_bytes(stolen.certificate)
            assert await ask(address, client) == "heliograph://slot/1"

    with caplog.at_level(logging.WARNING):
        play(script)
    reasons = [record.args[0] for record in caplog.records if record.name == "heliograph.tls"]
    assert ["not the key" in reason or "is of heliograph://slot/1" in reason for reason in reasons] == [True] * 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("tls.crt", None, "holds no certificate: No such file or directory: tls.crt"),
        ("tls.crt", b"nothing", "no certificate of this kind"),
        ("tls.key", b"nothing", "no certificate of this kind"),
        ("ca.crt", b"nothing", "no certificate of this kind"),
    ],
)
def test_a_folder_without_a_usable_certificate_is_refused(
    ours: Path, name: str, content: bytes | None, sentence: str
) -> None:
    path = ours / "slot-0" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(SettingsError, match=sentence):
        Tls(ours / "slot-0")


def test_a_key_that_may_not_be_read_is_not_said_to_be_missing(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tls.read_bytes

    def guarded(path: Path, *, limit: int) -> bytes:
        if path.name == "tls.key":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, limit=limit)

    monkeypatch.setattr(tls, "read_bytes", guarded)
    with pytest.raises(
        SettingsError, match=r"cannot read .*tls\.key: Permission denied. Give this user the right to it"
    ):
        Tls(ours / "slot-0")


def test_a_certificate_for_something_else_is_refused(ours: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a web server")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(serial_number=1, subject_name=name, issuer_name=name, public_key=key.public_key())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier("https://example.org/slot-0")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    encoding, format_, plain = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (ours / "slot-0" / "tls.crt").write_bytes(certificate.public_bytes(encoding))
    (ours / "slot-0" / "tls.key").write_bytes(key.private_bytes(encoding, format_, plain))
    with pytest.raises(SettingsError, match="is of no process of a team"):
        Tls(ours / "slot-0")


def test_a_certificate_of_no_process_is_refused(ours: Path) -> None:
    authority = Authority.make(days=1).credential
    (ours / "slot-0" / "tls.crt").write_bytes(authority.certificate)
    (ours / "slot-0" / "tls.key").write_bytes(authority.key)
    with pytest.raises(SettingsError, match="no certificate of this kind"):
        Tls(ours / "slot-0")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "127.0.0.1.example:0", "10.0.0.1:7100"])
def test_plaintext_is_not_offered_to_other_machines_unasked(address: str, ours: Path) -> None:
    async def script() -> None:
        server = rpc.server(max_message_bytes=4096)
        with pytest.raises(SettingsError, match="--tls, or say --insecure"):
            rpc.bind(server, address)
        await server.stop(grace=None)

    play(script)


def test_plaintext_that_is_asked_for_is_warned_of(caplog: pytest.LogCaptureFixture, ours: Path) -> None:
    async def script() -> None:
        server = rpc.server(max_message_bytes=4096)
        assert rpc.bind(server, "0.0.0.0:0", insecure=True)
        assert rpc.bind(server, "0.0.0.0:0", tls=Tls(ours / "slot-0"))
        assert rpc.bind(server, "127.0.0.2:0")
        await server.stop(grace=None)

    with caplog.at_level(logging.WARNING):
        play(script)
    assert [record.args for record in caplog.records] == [("0.0.0.0:0",)]


def test_slow_connections_are_closed_and_others_served_meanwhile(ours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow loris: connections that say nothing, or the beginning of a greeting, and then wait."""
    monkeypatch.setattr(rpc, "HANDSHAKE_DEADLINE_MS", 500)

    async def held_s(address: str, said: bytes) -> float:
        host, _, port = address.rpartition(":")
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await reader.read()  # everything, until the server closes
        writer.close()
        return time.monotonic() - began

    async def script() -> None:
        friend = Tls(ours / "slot-1")
        async with serving(Tls(ours / "slot-0")) as secure, serving(None) as plain:
            slow = [
                asyncio.ensure_future(held_s(address, said))
                for address, said in (
                    *((secure, b""), (secure, b"\x16\x03\x01\x02\x00\x01")),
                    *((plain, b""), (plain, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
                )
            ]
            assert await ask(secure, friend, try_again=True) == "heliograph://slot/1"
            assert await ask(plain, None, try_again=True) == "None"
            assert max(await asyncio.gather(*slow)) < DEADLINE_S

    play(script)


def test_a_server_takes_only_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "MAX_CONNECTIONS", 2)

    async def script() -> None:
        async with (
            serving(None) as address,
            rpc.channel(address, max_message_bytes=4096) as first,
            rpc.channel(address, max_message_bytes=4096) as second,
        ):
            for channel in (first, second):
                await channel.unary_unary(WHO)(b"", timeout=DEADLINE_S)
            assert (await ask(address, None)).startswith("UNAVAILABLE")
            for channel in (first, second):
                assert await channel.unary_unary(WHO)(b"", timeout=DEADLINE_S) == b"None"

    play(script)
