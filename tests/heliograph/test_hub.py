"""Teams on a hub: pushed and pulled over real HTTP to one that runs here; what is bad leaves a sentence alone."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from folder_contents import contents
from model_hub import TOKEN, Hub, commit_id, running_hub
from relay_team import relay_bundles

from heliograph import bundle as bundles
from heliograph.certificates.signing_keys import make_signing_key, read_signing_key
from heliograph.cli import main
from heliograph.hub import listing
from heliograph.hub.team_folder import CARD, CARD_FILE, README

constants = pytest.importorskip("huggingface_hub.constants")
transport = pytest.importorskip("heliograph.hub.transport")
REPOSITORY = "someone/relay-team"
GRAPH = "bundles/agent-1/step.onnx"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card's folder in `card`, of signed bundles, and the keys `key` and `other`."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("key", "other"):
        make_signing_key(folder / name)
    write_team(folder / "card", agents=2, key=folder / "key")
    return folder


def write_team(folder: Path, *, agents: int, key: Path | None) -> None:
    """The parts of a card's folder that pushing asks for; what else is in the figures is its writer's business."""
    team = relay_bundles(agents)
    if key is not None:
        team = [bundle.sign(read_signing_key(key)) for bundle in team]
    bundles.save_team(team, folder / "bundles")
    CARD.write(folder / CARD_FILE, {"name": "a team", "digests": [bundle.digest for bundle in team]})
    (folder / README).write_text("---\nlicense: unknown\n---\n# A team\n")
    (folder / "episode.gif").write_bytes(b"GIF89a" + bytes(3000))
    (folder / "notes.txt").write_text("not for others")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    with running_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub
        from huggingface_hub import close_session

        close_session()


@pytest.fixture
def pushed(hub: Hub, made: Path) -> Hub:
    assert main(["push", str(made / "card"), REPOSITORY]) == 0
    return hub


def refused(capsys: pytest.CaptureFixture[str], *command: str, code: int) -> str:
    """What a command says that ends with this code, in one line."""
    capsys.readouterr()
    assert main(list(command)) == code
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    return line


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    "says",
    [
        b"GET /api/models/someone/else HTTP/1.1\r\n\r\n",
        b"PUT /lfs/0 HTTP/1.1\r\nContent-Length: 9\r\n\r\n.",
    ],
)
def test_a_client_of_the_hub_that_resets_its_connection_is_no_fault_and_prints_nothing(
    says: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_hub() as hub, socket.create_connection(("127.0.0.1", hub.port)) as client:
        client.sendall(says)
        if says.startswith(b"GET"):
            assert client.recv(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert capsys.readouterr().err == ""


def test_a_team_comes_back_as_it_went(
    pushed: Hub, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files,) = pushed.repositories[REPOSITORY][1:]
    assert "notes.txt" not in files
    assert files["episode.gif"] == (made / "card" / "episode.gif").read_bytes()
    assert main(["pull", REPOSITORY, "--to", "team", "--trusted-key", str(made / "key.pub")]) == 0
    told = capsys.readouterr().out
    assert "all are signed by a trusted key" in told
    assert commit_id(REPOSITORY, 1) in told
    assert "left there, as no part of a team: .gitattributes" in told
    sent = contents(made / "card")
    del sent[Path("notes.txt")]
    assert contents(Path("team")) == sent
    assert left(tmp_path) == ["team"]
    assert pushed.tokens_elsewhere == 0


def test_pulling_goes_on_where_it_was_broken_off(
    pushed: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed.break_off_after = 1000
    told = refused(capsys, "pull", REPOSITORY, "--to", "team", code=6)
    assert told.endswith("The same command goes on where it stopped")
    assert left(tmp_path) == [".team.partial"]
    pushed.requests.clear()
    assert main(["pull", REPOSITORY, "--to", "team"]) == 0
    assert pushed.ranges == ["bytes=1000-"]
    assert "signatures not looked at" in capsys.readouterr().out
    asked = [path for method, path in pushed.requests if "/resolve/" in path]
    assert not any(path.endswith(README) for path in asked), "what was whole is not fetched again"
    assert left(tmp_path) == ["team"]


def test_of_another_commit_nothing_is_kept(pushed: Hub, made: Path, tmp_path: Path) -> None:
    pushed.break_off_after = 1000
    assert main(["pull", REPOSITORY, "--to", "team"]) == 6
    newer = dict(pushed.repositories[REPOSITORY][-1]) | {README: b"# Another\n"}
    pushed.repositories[REPOSITORY].append(newer)
    assert main(["pull", REPOSITORY, "--to", "team"]) == 0
    assert pushed.ranges == []
    assert (tmp_path / "team" / README).read_bytes() == b"# Another\n"


def test_a_commit_can_be_named(pushed: Hub, tmp_path: Path) -> None:
    pushed.repositories[REPOSITORY].append(pushed.repositories[REPOSITORY][-1] | {README: b"# Newer\n"})
    assert main(["pull", REPOSITORY, "--revision", commit_id(REPOSITORY, 1)]) == 0
    assert b"Newer" not in (tmp_path / "relay-team" / README).read_bytes()


@pytest.mark.parametrize("change", ["graph", "longer", "card", "manifest", "operator", "unlisted"])
def test_what_was_changed_is_refused_and_nothing_is_left(
    pushed: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    files = pushed.repositories[REPOSITORY][-1]
    graph = files[GRAPH]
    if change == "graph":  # on the way
        pushed.instead[GRAPH] = graph[:-1] + b"\0"
        why = f"{GRAPH} of {REPOSITORY} at {pushed.endpoint} is not what the hub lists"
    elif change == "longer":
        pushed.instead[GRAPH] = graph + b"\0"
        why = f"{GRAPH} is longer than the hub lists"
    elif change == "card":
        files[CARD_FILE] = json.dumps(json.loads(files[CARD_FILE]) | {"digests": ["0" * 64] * 2}).encode()
        why = "are not those of its card"
    elif change == "manifest":
        files["bundles/agent-1/manifest.json"] = b"{}"
        why = "bundle has format version None"
    elif change == "operator":  # on the hub, by somebody who made everything anew
        why = "signed, but not by a trusted key"
    else:
        del files[CARD_FILE]
        why = f"holds no team: there is no {CARD_FILE} in it"
    make_signing_key(tmp_path / "mine")
    words = ("--trusted-key", "mine.pub") if change == "operator" else ()
    told = refused(capsys, "pull", REPOSITORY, "--to", "team", *words, code=2 if change == "unlisted" else 3)
    assert why in told
    assert not Path("team").exists()
    assert not list(Path(".team.partial").rglob("step.onnx")) or change in ("graph", "longer")
    # A hub that is right again is pulled from as if nothing had been.
    if change in ("graph", "longer"):
        pushed.instead.clear()
        assert main(["pull", REPOSITORY, "--to", "team"]) == 0


def test_sizes_are_bounded_before_anything_is_fetched(
    pushed: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed.sizes[README] = 2**20 + 1
    assert "README.md of" in (told := refused(capsys, "pull", REPOSITORY, code=2))
    assert "1,048,577 bytes, and at most 1,048,576 are taken" in told
    pushed.sizes = {GRAPH: 300 * 2**20}
    told = refused(capsys, "pull", REPOSITORY, "--most-mib", "200", code=2)
    assert "has 300 MiB, and at most 200 are taken. Allow more with --most-mib" in told
    assert not any("/resolve/" in path for _, path in pushed.requests)
    assert left(tmp_path) == []


def test_names_that_lead_elsewhere_are_no_part_of_a_team(pushed: Hub, tmp_path: Path) -> None:
    files = pushed.repositories[REPOSITORY][-1]
    strange = ("../escaped", "/etc/escaped", "bundles/agent-0/../../escaped", "bundles/agent-00/step.onnx", "a.py")
    files |= dict.fromkeys(strange, b"import os")
    files["bundles/agent-0/evil.pkl"] = b"cos\nsystem\n(S'touch canary'\ntR."
    assert main(["pull", REPOSITORY, "--to", "inner/team"]) == 0
    assert left(tmp_path) == ["inner"]
    assert left(tmp_path / "inner") == ["team"]
    assert left(tmp_path / "inner" / "team") == sorted(["README.md", "card.json", "episode.gif", "bundles"])


@pytest.mark.slow
def test_a_smaller_team_takes_the_place_of_a_larger_one(pushed: Hub, made: Path, tmp_path: Path) -> None:
    write_team(tmp_path / "three", agents=3, key=made / "key")
    assert main(["push", "three", REPOSITORY]) == 0
    assert main(["push", str(made / "card"), REPOSITORY]) == 0
    files = pushed.repositories[REPOSITORY][-1]
    assert ".gitattributes" in files
    assert not any(name.startswith("bundles/agent-2/") for name in files)


def test_evidence_of_an_earlier_team_does_not_stay_beside_a_newer_one(pushed: Hub, made: Path, tmp_path: Path) -> None:
    pushed.repositories[REPOSITORY][-1] |= {"audit.json": b"{}", "notes.md": b"ours"}
    shutil.copytree(made / "card", tmp_path / "newer")
    (tmp_path / "newer" / "episode.gif").unlink()
    assert main(["push", "newer", REPOSITORY]) == 0
    files = pushed.repositories[REPOSITORY][-1]
    assert "notes.md" in files
    assert not {"audit.json", "episode.gif"} & files.keys()


@pytest.mark.parametrize("mine", ["hf_se\x0bcret", "hf_secr\u00e9t"])
def test_a_token_is_never_shown(
    pushed: Hub, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mine: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", mine)
    for command in (["pull", REPOSITORY], ["push", str(made / "card"), REPOSITORY]):
        told = refused(capsys, *command, code=2)
        assert "the token of the hub holds a letter that no token has" in told
        assert "secr" not in told


def test_a_listing_is_read_within_bounds_and_steers_no_terminal(
    pushed: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_FILES", 12)
    pushed.repositories[REPOSITORY][-1] |= {f"{number}.txt": b"" for number in range(9)}
    assert "has too many files for a team" in refused(capsys, "pull", REPOSITORY, code=2)
    monkeypatch.setattr(listing, "_PAGE", 200)  # the listing's first page is larger
    assert "is larger than the limit" in refused(capsys, "pull", REPOSITORY, code=6)
    assert str(listing._too_much("http://hub/\x9b31m")).isprintable(), "an address of the hub's own making"


def test_pushing_asks_for_card_signature_and_token(
    hub: Hub, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(capsys, "push", str(made), REPOSITORY, code=2)
    assert told.endswith("holds no card. Write one: heliograph card RUN --to FOLDER")
    write_team(tmp_path / "bare", agents=2, key=None)
    told = refused(capsys, "push", "bare", REPOSITORY, code=3)
    assert told.endswith("are not signed. Sign them: heliograph card RUN --sign KEY, or say --unsigned")
    shutil.copytree(made / "card", tmp_path / "changed")
    (changed, other) = relay_bundles(2, training_step=7)
    bundles.save_team([changed, other], tmp_path / "changed" / "bundles")
    assert "are not those of its card" in refused(capsys, "push", "changed", REPOSITORY, code=3)
    monkeypatch.delenv("HF_TOKEN")
    told = refused(capsys, "push", str(made / "card"), REPOSITORY, code=2)
    assert told == "heliograph push: pushing needs a token of the hub. Log in with `hf auth login`, or set HF_TOKEN"
    assert hub.requests == []
    monkeypatch.setenv("HF_TOKEN", "another")
    told = refused(capsys, "push", str(made / "card"), REPOSITORY, code=2)
    assert "or this token may not see it" in told
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", "bare", REPOSITORY, "--unsigned"]) == 0
    hub.answers[f"/api/models/{REPOSITORY}/preupload"] = 403
    told = refused(capsys, "push", str(made / "card"), REPOSITORY, code=2)
    assert f"{hub.endpoint} does not allow pushing {REPOSITORY} to this token" in told


def test_what_is_not_there_is_said(pushed: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, "pull", "someone/else", code=2)
    assert f"there is no repository someone/else at {pushed.endpoint}, or this token may not see it" in told
    assert "has no such revision" in refused(capsys, "pull", REPOSITORY, "--revision", "v9", code=2)
    assert "is no repository. Name it as OWNER/NAME" in refused(capsys, "pull", "relay", code=2)
    assert "is no address of a hub" in refused(capsys, "pull", REPOSITORY, "--endpoint", "hub.example", code=2)
    (tmp_path / "relay-team").mkdir()
    assert "is there already" in refused(capsys, "pull", REPOSITORY, code=2)
    pushed.answers["/api/models/"] = 500
    assert "answers 500 while pulling" in refused(capsys, "pull", REPOSITORY, "--to", "team", code=6)
    assert left(tmp_path) == ["relay-team"]


def test_a_hub_that_is_gone_or_silent_is_left(
    pushed: Hub, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "http://127.0.0.1:1"
    told = refused(capsys, "pull", REPOSITORY, "--endpoint", nobody, code=6)
    assert f"cannot reach {nobody} while pulling {REPOSITORY}: " in told
    assert f"cannot reach {nobody}" in refused(
        capsys, "push", str(made / "card"), REPOSITORY, "--endpoint", nobody, code=6
    )
    monkeypatch.setattr(transport, "SILENCE_S", 0.2)
    pushed.silent = "/"
    assert "is silent for 0.2 s while pulling" in refused(capsys, "pull", REPOSITORY, code=6)
    assert "is silent for 0.2 s while pushing" in refused(capsys, "push", str(made / "card"), REPOSITORY, code=6)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: True)
    assert "HF_HUB_OFFLINE is set" in refused(capsys, "pull", REPOSITORY, code=2)
    assert left(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "without_length"),
    [("/api/models/", False), ("/resolve/", False), ("/lfs/", False), ("/api/models/", True)],
)
def test_a_hub_that_sends_a_byte_now_and_then_is_left(
    pushed: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str, without_length: bool
) -> None:
    pushed.drips, pushed.drips_to_its_end = where, without_length
    with monkeypatch.context() as slower:
        slower.setattr(transport, "GRACE_S", 3.0)
        slower.setattr(transport, "LEAST_RATE", 1e9)
        told = refused(capsys, "pull", REPOSITORY, code=6)
    assert "sends fewer than" in told
    assert "left after 3 s" in told
    pushed.drips = ""
    assert main(["pull", REPOSITORY]) == 0  # goes on where it stopped


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_upload_that_a_silent_hub_holds_up(hub: Hub, made: Path, number: signal.Signals) -> None:
    hub.silent = "/lfs/"
    command = [sys.executable, "-m", "heliograph", "push", str(made / "card"), REPOSITORY]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert hub.fell_silent.wait(60)
        process.send_signal(number)
        _, told = process.communicate(timeout=transport.SILENCE_S / 2)  # less than the hub may be silent
    assert process.returncode == 130
    assert "Traceback" not in told


@pytest.mark.slow
def test_a_silent_hub_is_named_when_files_are_on_their_way(
    hub: Hub, made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.silent = "/lfs/"
    with monkeypatch.context() as hurried:
        hurried.setattr(transport, "GRACE_S", 2.0)
        told = refused(capsys, "push", str(made / "card"), REPOSITORY, code=6)
    assert "127.0.0.1 sends fewer than 4 KiB a second, so it was left after 2 s" in told
    hub.silent = ""
    assert main(["push", str(made / "card"), REPOSITORY]) == 0


def test_a_hub_that_wants_to_be_asked_in_a_year_is_asked_in_a_second(hub: Hub, made: Path) -> None:
    hub.asks_to_wait = "/lfs/"
    assert main(["push", str(made / "card"), REPOSITORY]) == 0


def test_what_else_this_process_asks_of_hubs_is_asked_as_before(hub: Hub, made: Path) -> None:
    http = pytest.importorskip("huggingface_hub.utils._http")
    before = (http._GLOBAL_CLIENT_FACTORY, constants.HF_HUB_DISABLE_XET)
    assert main(["push", str(made / "card"), REPOSITORY]) == 0
    assert before == (http._GLOBAL_CLIENT_FACTORY, constants.HF_HUB_DISABLE_XET)


def test_without_the_extra_it_is_named(
    made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for command in (["pull", REPOSITORY], ["push", str(made / "card"), REPOSITORY]):
        told = refused(capsys, *command, code=5)
        assert "exchanging teams with a hub needs huggingface_hub, which is not installed" in told
        assert "pip install 'heliograph[hub]'" in told


def test_two_pulls_into_one_folder_do_not_mix(pushed: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from heliograph.claim import claim

    (tmp_path / ".team.partial").mkdir()
    with (tmp_path / ".team.partial" / "lock").open("w") as lock:
        assert claim(lock.fileno())
        assert "another process pulls into" in refused(capsys, "pull", REPOSITORY, "--to", "team", code=2)
