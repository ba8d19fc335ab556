"""Mutual TLS for connections that Python's own ssl makes, on the terms that gRPC's have.  Imported by `tls.py`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from heliograph.certificates.identity import Identity

if TYPE_CHECKING:
    import ssl


def made_context(authority: bytes, certificate: bytes, key: bytes, *, is_server: bool) -> ssl.SSLContext:
    """TLS 1.2 or newer, HTTP/2 inside, certificates of the authority on both sides, and the name that is asked for."""
    # Not above: a process without TLS need not load it.
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(cadata=authority.decode("ascii", "ignore"))
    if is_server:
        context.num_tickets = 0  # nobody resumes a session
    # It is read from a file alone; what was checked is not what lies in the folder by now.
    pem = certificate + b"\n" + key
    if hasattr(os, "memfd_create"):
        with open(os.memfd_create("certificate"), "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    else:
        with tempfile.NamedTemporaryFile() as file:  # for this user alone
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def certified(connection: ssl.SSLObject | None) -> Identity | None:
    """Whom the certificate of the other side speaks for; None if it has none of ours, or there is no TLS."""
    certificate = connection.getpeercert() if connection is not None else None
    names = (certificate or {}).get("subjectAltName", ())
    return Identity.among(str(name) for kind, name in _pairs(names) if kind == "URI")


def _pairs(names: object) -> Iterable[tuple[object, object]]:
    return names if isinstance(names, tuple) else ()


def agreed_to_http2(connection: ssl.SSLObject | None) -> bool:
    """Whether the other side agreed to HTTP/2; without TLS nobody is asked."""
    return connection is None or connection.selected_alpn_protocol() == "h2"
