"""The commands under TLS: one flag on one machine, replicas with a folder of certificates, signed bundles, refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from relay_team import relay_bundles
from scripted_bundle import save_team
from test_coordinator_commands import running

from heliograph.certificates.signing_keys import make_signing_key, read_signing_key
from heliograph.cli import main

pytestmark = pytest.mark.usefixtures("warm_teams")

DEADLINE_S = 60.0


def heliograph(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "heliograph", *map(str, arguments)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `bundles`, and `signed` ones; `key` that signed them; `certificates` for the team of two."""
    folder = tmp_path_factory.mktemp("team")
    team = relay_bundles(2)
    make_signing_key(folder / "key")
    save_team(team, folder / "bundles")
    save_team([bundle.sign(read_signing_key(folder / "key")) for bundle in team], folder / "signed")
    assert main(["certificates", "init", str(folder / "certificates")]) == 0
    assert main(["certificates", "issue", str(folder / "certificates"), "--team", "2"]) == 0
    return folder


def test_one_flag_makes_a_run_on_one_machine_talk_tls(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = folder / "logs"
    arguments = ["--bundles", folder / "signed", "--episodes", 1, "--json", "-", "--log-folder", logs]
    assert main([*map(str, ["run", *arguments, "--tls", "--trusted-key", folder / "key.pub"])]) == 0
    report = json.loads(capsys.readouterr().out)
    assert all(link["missing"] == 0 for link in report["links"])
    for slot in (0, 1):
        assert f"certificate identity=heliograph://slot/{slot} until=" in (logs / f"agent-{slot}.log").read_text()


def test_untrusted_bundles_run_when_that_is_asked_for_and_are_warned_of(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs = folder / "insecure"
    arguments = ["--bundles", folder / "bundles", "--episodes", 1, "--log-folder", logs]
    assert main([*map(str, ["run", *arguments, "--trusted-key", folder / "key.pub", "--insecure"])]) == 0
    assert [record.args[0] for record in caplog.records if "taken all the same" in record.message] == [0, 1]
    for slot in (0, 1):
        assert f"bundle taken all the same slot={slot}" in (logs / f"agent-{slot}.log").read_text()


def test_replicas_join_by_tls_and_run_signed_bundles(folder: Path) -> None:
    safe = ["--tls", folder / "certificates", "--trusted-key", folder / "key.pub"]
    result = folder / "result.json"
    coordinator = ["--bundles", folder / "signed", "--listen", "0.0.0.0:0", "--episodes", 1, "--json", result, *safe]
    with ExitStack() as stack:
        process, _, heard = stack.enter_context(running("coordinator", *coordinator, say="nodes at"))
        while "\n" not in heard[heard.index("nodes at") :]:
            heard += process.stderr.read1(64).decode()
        port = heard.rpartition(":")[2].strip()
        # A run of one episode may be over as soon as its nodes are there.
        health = ["health", f"localhost:{port}", "--tls", str(folder / "certificates"), "--wait", "10"]
        assert main(health) == 0
        assert main(["health", f"localhost:{port}"]) == 6
        nodes = [
            subprocess.Popen(heliograph("node", "--coordinator", f"127.0.0.1:{port}", *safe), stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        for node in nodes:
            stack.callback(node.kill)
        for node in nodes:
            said = node.communicate(timeout=DEADLINE_S)[1]
            assert node.returncode == 0, said
        assert process.wait(DEADLINE_S) == 0
    assert json.loads(result.read_text())["links"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["run", "--bundles", "bundles", "--trusted-key", "key.pub"], 3, "bundle is not signed"),
        (["coordinator", "--bundles", "bundles", "--trusted-key", "key.pub"], 3, "bundle is not signed"),
        (["coordinator", "--bundles", "bundles", "--listen", "0.0.0.0:0"], 2, "--tls, or say --insecure"),
        (["run", "--bundles", "bundles", "--attach", "0.0.0.0:0"], 2, "--tls, or say --insecure"),
        (["run", "--bundles", "bundles", "--attach", "127.0.0.1:0", "--tls"], 2, "need certificates, too"),
        (["coordinator", "--bundles", "bundles", "--tls", "bundles"], 2, "holds no certificate"),
        (["coordinator", "--bundles", "bundles", "--tls", "certificates/slot-0"], 2, "is of heliograph://slot/0"),
        (["node", "--coordinator", "127.0.0.1:1", "--tls", "certificates/coordinator"], 2, "not of a node"),
        (["node", "--coordinator", "127.0.0.1:1", "--tls", "certificates/slot-0", "--slot", "1"], 2, "not of slot 1"),
    ],
)
def test_what_is_not_safe_is_refused_before_anything_starts(
    folder: Path,
    arguments: list[str],
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    assert main(arguments) == code
    assert sentence in capsys.readouterr().err
