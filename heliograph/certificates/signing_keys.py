"""Ed25519 keys that sign bundles, and those that are trusted to.  Imports `cryptography` only when a key is used."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from heliograph.bundle import Bundle
from heliograph.certificates.folder import all_or_nothing, write_new
from heliograph.errors import BundleUntrusted, SettingsError
from heliograph.reading import SMALL, Unreadable, read_bytes
from heliograph.system_refusals import remedy_for

_KEY_BYTES = 32

_log = logging.getLogger(__name__)


def make_signing_key(path: Path) -> Path:
    """Write a new private key to `path`, and the public one, in hex, beside it; returns that one's path.

    Raises SettingsError if either file is there already, OutputFailed if the disk refuses; then there is neither.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = path.with_name(f"{path.name}.pub")
    if public_path.exists():
        raise SettingsError(f"{public_path} is there already", remedy="Choose another name for the new key")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with all_or_nothing() as undo:
        write_new(path, pem, secret=True, undo=undo)
        public = key.public_key().public_bytes_raw().hex().encode() + b"\n"
        write_new(public_path, public, secret=False, undo=undo)
    return public_path


def read_signing_key(path: Path) -> bytes:
    """The raw private key in a PEM file.  Raises SettingsError if there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path, "signing key"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"signing key {path} is no ed25519 private key",
            remedy="See `heliograph certificates signing-key`",
        )
    return key.private_bytes_raw()


def public_key(private_key: bytes) -> bytes:
    """The raw public key of a raw private one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def read_trusted_key(path: Path) -> bytes:
    """The raw public key in a file, which holds it raw or in hex.  Raises SettingsError if there is none."""
    data = _read(path, "trusted key")
    if len(data) == _KEY_BYTES:
        return data
    try:
        key = bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise SettingsError(f"trusted key {path} holds neither 32 bytes nor 64 hex digits")
    return key


def require_trusted(bundles: Iterable[Bundle], keys: Iterable[Path], *, insecure: bool = False) -> bool:
    """Raise BundleUntrusted unless each bundle is signed by one of the keys; without keys all are taken.

    `insecure` makes a warning of it.  Returns whether all of them are signed so.
    """
    trusted = [read_trusted_key(path) for path in keys]
    if not trusted:
        return False
    signed = True
    for bundle in bundles:
        try:
            bundle.verify(*trusted)
        except BundleUntrusted as error:
            if not insecure:
                raise BundleUntrusted(
                    f"bundle of slot {bundle.manifest.slot} ({bundle.digest[:12]}): {error.message}",
                    remedy=error.remedy,
                ) from None
            _log.warning("bundle taken all the same slot=%d reason=%r", bundle.manifest.slot, error.message)
            signed = False
    return signed


def _read(path: Path, what: str) -> bytes:
    try:
        return read_bytes(path, limit=SMALL)
    except Unreadable as error:
        raise SettingsError(f"{what} {path} {error}") from None
    except OSError as error:
        raise SettingsError(f"cannot read {what} {path}: {error.strerror}", remedy=remedy_for(error)) from None
