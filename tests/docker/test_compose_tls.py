"""`compose.tls.yaml` for real: mutual TLS between all containers, signed bundles, and who is turned away."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import ROOT, RUN, Log, Project, docker, docker_says, inspect

JOIN = "--coordinator coordinator:7100 --listen 0.0.0.0:7200 --advertise stranger --join-timeout-s 3"
UNREACHABLE, UNTRUSTED = 7, 3

pytestmark = [pytest.mark.usefixtures("first_up"), pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def secured(project: Project) -> Project:
    return project.with_overlay(ROOT / "compose.tls.yaml")


@pytest.fixture(scope="module")
def told(secured: Project, slow: Path) -> str:
    """What the team says that plays while certificates are renewed and strangers knock."""
    slowly = secured.with_overlay(slow)
    with Log(slowly.command("up", "--no-build"), environment=slowly.environment({})) as up:
        up.until("running address")
        before = certificates(slowly)
        assert slowly.compose("up", "--no-build", "--no-deps", "--detach", "certificates")[0] == 0
        docker("wait", slowly.container("certificates"))
        after = certificates(slowly)
        assert before[0] == after[0], "the authority is made once"
        assert before[1] != after[1], "certificates are issued at every start"
        for service, port, folder in (("coordinator", 7100, "coordinator"), ("node", 7200, "nodes")):
            ask = ("exec", slowly.container(service), "heliograph", "health", f"127.0.0.1:{port}")
            assert docker(*ask, "--tls", f"/keys/{folder}", "--wait", "10") == "SERVING\n"
            assert "no health service answers" in docker_says(*ask)
        # One that has no certificate, and one whose certificate is of another authority.
        code, said = stranger(slowly, f"exec heliograph node {JOIN} --insecure")
        assert code == UNREACHABLE, said
        make = "heliograph certificates init a; heliograph certificates issue a --slot 1"
        code, said = stranger(slowly, f"{make}; exec heliograph node {JOIN} --tls a/slot-1")
        assert code == UNREACHABLE, said
        assert "CERTIFICATE_VERIFY_FAILED" in said
        up.until("success (95 % interval)")
        assert up.process.wait(60) == 0, up.text
    return up.text


def certificates(project: Project) -> tuple[str, str]:
    """That of the authority, and of slot 0."""
    program = ["exec", project.container("node"), "cat"]
    return docker(*program, "/keys/nodes/slot-0/ca.crt"), docker(*program, "/keys/nodes/slot-0/tls.crt")


def stranger(project: Project, script: str, *volumes: str) -> tuple[int, str]:
    """Exit code and words of a script in the team's network, in the coordinator's image, which has all commands."""
    name = f"{project.name}-stranger"
    options = ["--detach", "--name", name, "--network", project.network, "--entrypoint", "sh", "--workdir", "/tmp"]
    options += [option for volume in volumes for option in ("--volume", volume)]
    docker("run", *options, "heliograph-coordinator", "-ec", script)
    try:
        return int(docker("wait", name)), docker_says("logs", name)
    finally:
        docker("rm", "--force", name)


def test_a_team_plays_over_tls_while_strangers_knock(told: str) -> None:
    assert "certificate identity=heliograph://coordinator" in told
    assert "plaintext" not in told
    assert "bundle taken all the same" not in told
    assert "│ masked messages                 │             0 of 200 │" in told
    assert told.count("node joined") == 2


@pytest.mark.usefixtures("told")
def test_a_bundle_without_a_signature_is_not_handed_out(secured: Project) -> None:
    volumes = [f"{secured.volume('runs')}:/runs:ro", f"{secured.volume('coordinator-keys')}:/keys/coordinator:ro"]
    trust = "--tls /keys/coordinator --trusted-key /keys/coordinator/bundles.pub"
    unsigned = f"cp -r {RUN}/bundles .; rm bundles/agent-1/manifest.sig"
    code, said = stranger(secured, f"{unsigned}; exec heliograph coordinator --bundles bundles {trust}", *volumes)
    assert code == UNTRUSTED, said
    assert "bundle of slot 1" in said


@pytest.mark.usefixtures("told")
def test_keys_are_mounted_where_they_are_needed_alone(secured: Project) -> None:
    keys = {"authority", "signing", "coordinator-keys", "node-keys"}
    mounted = {
        service: {mount["Name"] for mount in inspect("container", secured.container(service))["Mounts"]}
        & {secured.volume(key) for key in keys}
        for service in ("certificates", "signature", "coordinator", "node", "trainer")
    }
    assert mounted == {
        "certificates": {secured.volume(key) for key in keys},
        "signature": {secured.volume("signing")},
        "coordinator": {secured.volume("coordinator-keys")},
        "node": {secured.volume("node-keys")},
        "trainer": set(),
    }
