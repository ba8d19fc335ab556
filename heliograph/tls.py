"""Mutual TLS for gRPC: the certificate of one process, read again when it is replaced, and whose the other side's is.

For the houses that talk; imports grpc.  A client demands the name of the process that it means to reach
(`Identity.host`), a server reads who dialled it (`peer_identity`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from heliograph.certificates.folder import AUTHORITY_CERTIFICATE, CERTIFICATE, KEY
from heliograph.certificates.identity import Identity
from heliograph.certificates.validity import RENEWAL, Validity
from heliograph.errors import SettingsError
from heliograph.library_errors import cause_of
from heliograph.reading import SMALL, Unreadable, read_bytes
from heliograph.system_refusals import remedy_for
from heliograph.tls_context import made_context

if TYPE_CHECKING:
    import ssl

    from cryptography import x509

LOOK_S = 60.0
"""How often a process looks for files that were replaced, if no connection asks before."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """What a folder held at one moment, found to belong together."""

    authority: bytes
    certificate: bytes
    key: bytes
    identity: Identity
    validities: tuple[Validity, ...]
    """Of the process's own certificate, and of the authority that signed it if that is among those of `authority`."""


class Tls:
    """The TLS side of one process.  Raises SettingsError unless `folder` holds a certificate and its key.

    Whose certificate it is, is `identity`; the caller compares.

    Files that are replaced while it runs serve the next connection, in either direction; connections that are up stay.
    What is found halfway replaced, expired or of another identity is not taken, and logged once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()  # gRPC asks from a thread of its own
        self._seen = self._stamp()
        self._pair = self._read()
        self.identity = self._pair.identity
        self._channel_credentials: tuple[_Pair, grpc.ChannelCredentials] | None = None
        self._contexts: dict[bool, tuple[_Pair, ssl.SSLContext]] = {}
        self._warned: set[tuple[Validity, str]] = set()
        self._log_expiry()

    @property
    def validities(self) -> tuple[Validity, ...]:
        """Of the certificate that serves now, and of its authority's."""
        return self._current().validities

    def trouble(self) -> str:
        """Why nobody takes this process's certificate, as far as it knows itself; empty if it does not."""
        for validity in self.validities:
            if validity.state in ("expired", "early"):
                return f"{validity.name} in {self._folder} {validity.in_words()}: {RENEWAL}"
        return ""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Inside, files that are replaced are taken, and a certificate that runs out, or has, is warned of once each.

        Connections look for new files by themselves; this is for when there are none.
        """
        watch = asyncio.create_task(self._watch(), name="watch certificate")
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self) -> None:
        while True:
            validities = self.validities
            for validity in validities:
                self._warn(validity)
            await asyncio.sleep(min(LOOK_S, *(validity.next_change_s() for validity in validities)))

    def _warn(self, validity: Validity) -> None:
        if validity.state == "good" or (validity, validity.state) in self._warned:
            return
        self._warned.add((validity, validity.state))
        _log.warning(
            "certificate %s days_left=%.2f file=%s identity=%s: it %s; %s",
            validity.state,
            validity.days_left(),
            self._folder / validity.name,
            self.identity,
            validity.in_words(),
            RENEWAL,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """The same object until the files change, so that a caller can tell whether they did."""
        pair = self._current()
        if self._channel_credentials is None or self._channel_credentials[0] is not pair:
            credentials = grpc.ssl_channel_credentials(pair.authority, pair.key, pair.certificate)
            self._channel_credentials = pair, credentials
        return self._channel_credentials[1]

    def server_credentials(self) -> grpc.ServerCredentials:
        """Nobody is served who has no certificate of the same authority."""
        served = self._pair

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal served
            pair = self._current()
            if pair is served:
                return None
            served = pair
            return _configuration(pair)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(served),
            fetch,  # type: ignore[arg-type]  # None stands for the one before, and is left out of the stubs
            require_client_authentication=True,
        )

    def context(self, *, is_server: bool) -> ssl.SSLContext:
        """For a connection that is not made by gRPC, on the same terms; the same object until the files change."""
        pair = self._current()
        if is_server not in self._contexts or self._contexts[is_server][0] is not pair:
            made = made_context(pair.authority, pair.certificate, pair.key, is_server=is_server)
            self._contexts[is_server] = pair, made
        return self._contexts[is_server][1]

    def _current(self) -> _Pair:
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                try:
                    pair = self._read()
                    if pair.identity != self.identity:
                        raise SettingsError(f"certificate is of {pair.identity}, this process is {self.identity}")
                    self._pair = pair
                    self._log_expiry()
                except SettingsError as error:
                    _log.warning("certificate not taken, the one before serves on reason=%r", str(error))
            return self._pair

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp_of(self._folder / name) for name in (AUTHORITY_CERTIFICATE, CERTIFICATE, KEY))

    def _read(self) -> _Pair:
        # Not above: a process without TLS need not load it.
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            authority, certificate, key = (
                read_bytes(self._folder / name, limit=SMALL) for name in (AUTHORITY_CERTIFICATE, CERTIFICATE, KEY)
            )
        except Unreadable as error:
            raise SettingsError(f"a certificate, a key or an authority in {self._folder} {error}") from None
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SettingsError(
                f"{self._folder} holds no certificate: {error.strerror}: {Path(error.filename).name}",
                remedy="Issue one with `heliograph certificates issue`",
            ) from None
        except OSError as error:
            raise SettingsError(f"cannot read {error.filename}: {error.strerror}", remedy=remedy_for(error)) from None
        try:
            authorities = x509.load_pem_x509_certificates(authority)
            own = x509.load_pem_x509_certificates(certificate)[0]
            matches = load_pem_private_key(key, password=None).public_key() == own.public_key()
            names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            identity = Identity.among(names.get_values_for_type(x509.UniformResourceIdentifier))
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
            raise SettingsError(f"{self._folder} holds no certificate of this kind: {cause_of(error)}") from None
        if not matches:
            raise SettingsError(f"{KEY} in {self._folder} is not the key of {CERTIFICATE}")
        if identity is None:
            raise SettingsError(
                f"certificate in {self._folder} is of no process of a team",
                remedy="Issue one with `heliograph certificates issue`",
            )
        validity = _validity(own, CERTIFICATE)
        if validity.state == "expired":
            raise SettingsError(
                f"certificate in {self._folder} {validity.in_words()}",
                remedy="Issue it again with `heliograph certificates issue --renew`",
            )
        signers = [_validity(one, AUTHORITY_CERTIFICATE) for one in authorities if one.subject == own.issuer]
        return _Pair(
            authority=authority,
            certificate=certificate,
            key=key,
            identity=identity,
            validities=(validity, *signers[:1]),
        )

    def _log_expiry(self) -> None:
        own = self._pair.validities[0]
        _log.info(
            "certificate identity=%s until=%s days_left=%.2f", self.identity, own.until.isoformat(), own.days_left()
        )


def peer_identity(context: grpc.aio.ServicerContext[Any, Any]) -> Identity | None:
    """Whom the certificate of a call's client speaks for; None if it has none of ours, or there is no TLS."""
    if context.peer_identity_key() != "x509_subject_alternative_name":
        return None
    return Identity.among(name.decode("utf-8", "replace") for name in context.peer_identities() or ())


def _configuration(pair: _Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)], root_certificates=pair.authority)


def _validity(certificate: x509.Certificate, name: str) -> Validity:
    return Validity(name=name, since=certificate.not_valid_before_utc, until=certificate.not_valid_after_utc)


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
