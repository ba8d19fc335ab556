"""The team's own certificate authority.  Imported by `folder.py`, the `certificates` command and tests.

Keys are on the curve P-256.  What is made here lives in folders, see `folder.py`.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from heliograph.certificates.identity import ANYBODY, ZONE, Identity
from heliograph.errors import SettingsError
from heliograph.library_errors import cause_of

CLOCK_SKEW = datetime.timedelta(minutes=5)
"""Certificates are valid from a little before they were made, since machines' clocks differ."""

_CURVE = ec.SECP256R1()


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate that signs others, and its key."""

    def __init__(self, credential: Credential) -> None:
        """Raises SettingsError unless these are an authority's certificate and the key to it."""
        try:
            self._certificate = x509.load_pem_x509_certificate(credential.certificate)
            key = serialization.load_pem_private_key(credential.key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(f"not an authority's certificate and key: {cause_of(error)}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._certificate.public_key():
            raise SettingsError("the authority's key is not the one of its certificate")
        self.credential, self._key = credential, key

    @classmethod
    def make(cls, *, days: float) -> Authority:
        """A new one that signs itself.  Each has a name of its own, so that two can be told apart."""
        key = ec.generate_private_key(_CURVE)
        serial = x509.random_serial_number()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"heliograph authority {serial % 2**32:08x}")])
        certificate = (
            _valid_for(days, x509.CertificateBuilder(serial_number=serial))
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(_credential(certificate, key))

    def issue(
        self, identity: Identity, *, days: float, dns: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> Credential:
        """A certificate for one process, to dial and to listen with; never longer valid than the authority's own.

        `dns` and `addresses` are further names, for programs that go by the address that they dial; ours do not.
        Raises SettingsError for names that cannot be, or are another process's.
        """
        stolen = [name for name in dns if name.lower().rstrip(".").endswith(ZONE)]
        if stolen:
            raise SettingsError(f"{stolen[0]!r} is a name by which processes know one another, and comes by itself")
        try:
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
            names += [x509.DNSName(name) for name in (identity.host, ANYBODY, *dns)]
            names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        except ValueError as error:
            raise SettingsError(f"not a name for a certificate: {error}") from None
        key = ec.generate_private_key(_CURVE)
        until = self._certificate.not_valid_after_utc
        if until <= _now():
            raise SettingsError(f"the authority expired at {until:%Y-%m-%d %H:%M} UTC", remedy="Make a new one")
        certificate = (
            _valid_for(days, x509.CertificateBuilder(serial_number=x509.random_serial_number()), until=until)
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return _credential(certificate, key)


def own_among(certificates: bytes, *, key: bytes) -> bytes:
    """Of PEM certificates the one whose key that is; all of them if none is, or they are none.

    Whoever goes over to another authority keeps the certificates of both together.
    """
    try:
        public = serialization.load_pem_private_key(key, password=None).public_key()
        for one in x509.load_pem_x509_certificates(certificates):
            if one.public_key() == public:
                return one.public_bytes(serialization.Encoding.PEM)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass  # `Authority` says what is wrong with them
    return certificates


def merged(first: bytes, others: bytes) -> bytes:
    """PEM certificates: all of `first`, and of `others` those that are not among them and have not expired.

    Raises SettingsError if either are none.
    """
    try:
        known = x509.load_pem_x509_certificates(first)
        known += [
            one
            for one in x509.load_pem_x509_certificates(others)
            if one not in known and one.not_valid_after_utc > _now()
        ]
    except ValueError as error:
        raise SettingsError(f"not certificates of authorities: {cause_of(error)}") from None
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in known)


def _valid_for(
    days: float, builder: x509.CertificateBuilder, *, until: datetime.datetime | None = None
) -> x509.CertificateBuilder:
    begin = _now() - CLOCK_SKEW
    try:
        end = _now() + datetime.timedelta(days=days)
    except (OverflowError, ValueError):
        raise SettingsError(f"a certificate cannot be valid for {days} days") from None
    if until is not None:
        end = min(end, until)
    if end <= begin:
        raise SettingsError(f"a certificate cannot be valid for {days:g} days")
    return builder.not_valid_before(begin).not_valid_after(end)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
