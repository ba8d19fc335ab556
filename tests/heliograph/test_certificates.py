"""An authority, certificates and signing keys as files: who is in them, who may read them, what is kept."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from folder_contents import contents
from hypothesis import given
from hypothesis import strategies as st
from scripted_bundle import scripted_team

from heliograph.certificates.authority import Authority, Credential
from heliograph.certificates.command import COMMAND
from heliograph.certificates.identity import ANYBODY, COORDINATOR, Identity
from heliograph.certificates.signing_keys import read_signing_key, read_trusted_key, require_trusted
from heliograph.cli import run
from heliograph.errors import BundleUntrusted, SettingsError

PRIVATE, FOR_OWNER = 0o600, 0o700
SIZE_OF_A_KEY = 300


def certificates(*arguments: object) -> int:
    return run({"certificates": COMMAND}, ["certificates", *map(str, arguments)])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With certificates for a team of two."""
    folder = tmp_path_factory.mktemp("certificates") / "authority"
    assert certificates("init", folder) == 0
    assert certificates("issue", folder, "--team", 2, "--dns", "node.example", "--ip", "192.0.2.7") == 0
    return folder


def test_every_process_gets_a_certificate_in_its_own_name(authority: Path) -> None:
    ca = read(authority / "ca.crt")
    for identity in (COORDINATOR, Identity(slot=0), Identity(slot=1)):
        folder = authority / identity.name
        certificate = read(folder / "tls.crt")
        certificate.verify_directly_issued_by(ca)
        assert (folder / "ca.crt").read_bytes() == (authority / "ca.crt").read_bytes()
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity.uri]
        assert names.get_values_for_type(x509.DNSName) == [identity.host, ANYBODY, "node.example"]
        assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("192.0.2.7")]
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(usage) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        days = (certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).total_seconds() / 86400
        assert 89.9 < days < 90.1
        assert certificate.not_valid_before_utc < datetime.datetime.now(datetime.UTC)


def test_keys_are_for_their_owner_alone(authority: Path) -> None:
    assert mode(authority / "ca.key") == PRIVATE
    for name in ("coordinator", "slot-0", "slot-1"):
        assert mode(authority / name) == FOR_OWNER
        assert mode(authority / name / "tls.key") == PRIVATE


def test_what_is_there_is_kept(authority: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(authority)
    assert certificates("init", authority) == 2
    assert "ca.key is there already" in capsys.readouterr().err
    assert certificates("issue", authority, "--slot", 7, "--slot", 1) == 2
    assert "slot-1 is there already" in capsys.readouterr().err
    assert contents(authority) == before


def test_a_renewed_certificate_replaces_the_one_before(authority: Path, tmp_path: Path) -> None:
    assert certificates("issue", authority, "--to", tmp_path, "--slot", 3) == 0
    old = read(tmp_path / "slot-3" / "tls.crt")
    assert certificates("issue", authority, "--to", tmp_path, "--slot", 3, "--renew", "--days", 1) == 0
    new = read(tmp_path / "slot-3" / "tls.crt")
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc < old.not_valid_after_utc
    assert mode(tmp_path / "slot-3" / "tls.key") == PRIVATE
    assert sorted(path.name for path in (tmp_path / "slot-3").iterdir()) == ["ca.crt", "tls.crt", "tls.key"]


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system refuses to write more into a file than a key takes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_OF_A_KEY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("name", ["ca", "."])
def test_an_authority_is_written_whole_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert certificates("init", tmp_path / name) == 2
    assert "ca.crt: File too large. Make room" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_team_gets_all_of_its_certificates_or_none(
    authority: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "slot-1").symlink_to("nowhere")
    assert certificates("issue", authority, "--out", tmp_path, "--team", 3) == 2
    assert "slot-1: File exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["slot-1"]


def test_a_renewal_that_fails_keeps_what_was_there(
    authority: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert certificates("issue", authority, "--out", tmp_path, "--slot", 3) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "slot-3").iterdir()}
    request.getfixturevalue("small_files")
    assert certificates("issue", authority, "--out", tmp_path, "--slot", 3, "--renew") == 2
    # The key too, though it could be written: no other fits the certificate.
    assert {path.name: path.read_bytes() for path in (tmp_path / "slot-3").iterdir()} == before
    assert sorted(before) == ["ca.crt", "tls.crt", "tls.key"]


def test_no_signing_key_is_left_without_its_public_half(tmp_path: Path) -> None:
    (tmp_path / "key.pub").symlink_to("nowhere")
    assert certificates("signing-key", tmp_path / "key") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["key.pub"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nobody to issue"),
        (["--team", 0], "no such slots"),
        (["--slot", -1], "no such slots"),
        (["--slot", 5, "--dns", "slot-6.heliograph.internal"], "comes by itself"),
        (["--slot", 5, "--dns", "*.HELIOGRAPH.internal."], "comes by itself"),
        (["--slot", 5, "--ip", "nowhere"], "nowhere"),
        (["--slot", 5, "--days", -1], "-1 days"),
        (["--slot", 5, "--days", 1e12], "1000000000000.0 days"),
    ],
)
def test_certificates_that_cannot_be_are_refused(
    authority: Path, arguments: list[object], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificates("issue", authority, *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not (authority / "slot-5").exists()


def test_there_is_no_issuing_without_an_authority(
    authority: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certificates("issue", tmp_path, "--slot", 0) == 2
    assert "no authority" in capsys.readouterr().err
    (tmp_path / "ca.crt").symlink_to("ca.crt")
    assert certificates("issue", tmp_path, "--slot", 0) == 2
    said = capsys.readouterr().err
    assert "cannot read" in said
    assert "init" not in said, "there is one, which cannot be read"
    ours = Authority.make(days=1).credential
    with pytest.raises(SettingsError, match="not the one of its certificate"):
        Authority(Credential(certificate=ours.certificate, key=(authority / "ca.key").read_bytes()))
    with pytest.raises(SettingsError, match="not an authority"):
        Authority(Credential(certificate=ours.certificate, key=b"-----BEGIN NOTHING-----"))


def test_no_certificate_outlives_its_authority() -> None:
    authority = Authority.make(days=10)
    issued = x509.load_pem_x509_certificate(authority.issue(Identity(slot=0), days=1000).certificate)
    assert (
        issued.not_valid_after_utc
        == x509.load_pem_x509_certificate(authority.credential.certificate).not_valid_after_utc
    )
    with pytest.raises(SettingsError, match="expired"):
        Authority.make(days=-0.001).issue(Identity(slot=0), days=1)


@pytest.mark.slow
@given(st.integers(0, 10**6), st.lists(st.from_regex(r"[a-z.-]{1,20}", fullmatch=True)))
def test_an_identity_is_found_among_other_names(slot: int, others: list[str]) -> None:
    for identity in (Identity(slot=slot), COORDINATOR):
        assert Identity.among([*others, identity.uri]) == identity
        assert Identity.among([identity.uri, *others, "heliograph://other"]) is None
    assert Identity.among(others) is None


@pytest.mark.parametrize("name", ["slot/", "slot/-1", "slot/01", "slot/1/2", "slot/٣", "slot", "coordinator/", "x/1"])
def test_what_is_almost_an_identity_is_none(name: str) -> None:
    assert Identity.among([f"heliograph://{name}"]) is None


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        assert certificates("signing-key", folder / name) == 0
    return folder


def test_a_signing_key_and_its_public_half_fit(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mode(keys / "ours") == PRIVATE
    private = Ed25519PrivateKey.from_private_bytes(read_signing_key(keys / "ours"))
    assert private.public_key().public_bytes_raw() == read_trusted_key(keys / "ours.pub")
    before = (keys / "ours").read_bytes()
    assert certificates("signing-key", keys / "ours") == 2
    assert "there already" in capsys.readouterr().err
    assert (keys / "ours").read_bytes() == before
    for wrong in (keys / "ours.pub", keys / "none"):
        with pytest.raises(SettingsError, match="signing key"):
            read_signing_key(wrong)


def test_bundles_must_be_signed_by_one_of_the_trusted_keys(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    unsigned = scripted_team(team_size=2)
    signed = [bundle.sign(read_signing_key(keys / "ours")) for bundle in unsigned]
    ours, theirs = keys / "ours.pub", keys / "theirs.pub"
    require_trusted(signed, [ours])
    require_trusted(signed, [theirs, ours])
    require_trusted(unsigned, [])
    with pytest.raises(BundleUntrusted, match=r"slot 0 .* not signed"):
        require_trusted(unsigned, [ours])
    with pytest.raises(BundleUntrusted, match=r"slot 1 .* not by a trusted key"):
        require_trusted([signed[0], unsigned[1].sign(bytes(32))], [ours])
    with caplog.at_level(logging.WARNING):
        require_trusted(unsigned, [theirs], insecure=True)
    assert [record.args[0] for record in caplog.records] == [0, 1]
