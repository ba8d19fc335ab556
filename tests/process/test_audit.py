"""The audit on teams of real processes: an honest one passes, and every planted leak is caught by name."""

from __future__ import annotations

import dataclasses
import json
import re
import signal
import sys
from pathlib import Path

import pytest
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team

from analysis.audit import assessment, processes
from analysis.audit import audit as audit_module
from analysis.audit.audit import audit
from analysis.audit.budget import AuditBudget
from analysis.audit.command import REFUTED_EXIT_CODE
from analysis.audit.condition import LINK, WORLD
from analysis.audit.evidence import HOLDS, NOT_CHECKED, REFUTED
from analysis.audit.finding import Findings
from analysis.audit.replaying_nodes import NodeCommand, standard_node
from analysis.audit.report import draw, remarks
from heliograph.cli import main
from heliograph.errors import NodeFailed, SettingsError

pytestmark = pytest.mark.usefixtures("warm_teams")

CHEATING_NODE = Path(__file__).parents[1] / "cheating_node.py"

SMALL = AuditBudget(scripts=1, steps=6)

NOISY = {"observation_noise": 0.5, "length": 6}
"""The scripted bundles answer to sums of observations, which noise alone changes in the relay."""


def cheating(cheat: str, *, slot: int, folder: Path) -> NodeCommand:
    def command(address: str, own_slot: int) -> list[str]:
        arguments = standard_node(address, own_slot)
        place = arguments.index("agent_node")
        # -P: the folder of the script holds tests/heliograph, which could hide the package of that name.
        return [sys.executable, "-P", str(CHEATING_NODE), cheat, str(slot), str(folder), *arguments[place + 1 :]]

    return command


def verdicts(findings: Findings) -> dict[str, str]:
    return {check.name: check.verdict for check in findings.checks}


def said(findings: Findings, name: str) -> str:
    return next(check.said for check in findings.checks if check.name == name)


@pytest.mark.usefixtures("teams_from_nothing")  # it looks at what its nodes hold open, which are these themselves then
def test_an_honest_team_on_a_ring_passes_and_its_influence_goes_round_the_ring(tmp_path):
    plan = relay_plan(3, greedy=True, hears="ring", observation_noise=0.5, length=8)
    findings = audit(plan, AuditBudget(scripts=2, steps=8))
    assert not findings.refuted
    assert not findings.leaks
    assert verdicts(findings) == {
        **dict.fromkeys(("repeat", "isolation", "one link", "two hops", "world graph", "one process"), HOLDS),
        "trainer's networks": NOT_CHECKED,
        **dict.fromkeys(("imports", "sockets", "files"), HOLDS),
    }
    alone = findings.matrix(LINK)
    assert all((alone[j][i] is None) == (j == i) for j in range(3) for i in range(3)), "every link alone is used"
    # In the ring each agent hears one other, so what it sees is one step from one and two steps from the other.
    hears = {(j, i) for j in range(3) for i in range(3) if findings.world_share[j][i]}
    assert len(hears) == 3
    delays = findings.matrix(WORLD)
    expected = [[None if j == i else 1 if (j, i) in hears else 2 for i in range(3)] for j in range(3)]
    assert delays == expected
    hops = [found for (check, _), found in findings.influences.items() if check == "two hops"]
    assert len(hops) == 6
    assert {found.after_message for found in hops if found.delay is not None} == {1}
    pytest.importorskip("matplotlib")
    assert draw(findings, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes().startswith(b"\x89PNG")


def test_the_sampled_policy_is_audited_against_the_team_in_one_process():
    findings = audit(relay_plan(2, greedy=False, **NOISY), SMALL)
    assert not findings.refuted
    assert verdicts(findings)["repeat"] == NOT_CHECKED
    assert findings.matrix(LINK) == [[None, 1], [1, None]]


def test_a_team_that_says_nothing_has_an_empty_influence_matrix(tmp_path, capsys):
    team, out = save_team(relay_bundles(2, messages=False), tmp_path / "bundles"), tmp_path / "out"
    assert main(["audit", str(team), "--episodes", "1", "--out", str(out)]) == 0
    assert "The influence matrix is empty: these bundles send no messages." in capsys.readouterr().out
    document = json.loads((out / "audit.json").read_text())
    assert document["influence"] == dict.fromkeys(("one_link", "world_graph"), [[None, None]] * 2)
    assert {check["name"]: check["verdict"] for check in document["checks"]} == {
        **dict.fromkeys(("repeat", "isolation", "one process", "imports", "sockets", "files"), HOLDS),
        **dict.fromkeys(("one link", "two hops", "world graph", "trainer's networks"), NOT_CHECKED),
    }


def test_a_node_that_peeks_at_another_agents_observation_is_caught_with_the_right_pair(tmp_path):
    plan = relay_plan(3, greedy=True, **NOISY)
    findings = audit(plan, SMALL, node_command=cheating("peek", slot=1, folder=tmp_path))
    assert findings.refuted
    assert {(leak.perturbed, leak.observed) for leak in findings.leaks if leak.check == "isolation"} == {(2, 1)}
    first = next(leak for leak in findings.leaks if leak.check == "isolation")
    assert first.step == first.start, "it did not even wait for a message"
    assert verdicts(findings)["one process"] == REFUTED
    assert said(findings, "isolation").startswith("2 -> 1")
    assert any(line.startswith("LEAK (isolation): agent 1 answers differently") for line in remarks(findings))
    document = json.loads(json.dumps(findings.as_dict(), allow_nan=False))
    assert document["refuted"]
    assert document["leaks"][0]["observed"] == 1


def test_a_node_that_holds_what_none_should_is_caught_by_name(tmp_path):
    (tmp_path / "torch.py").write_text("")
    plan = relay_plan(2, greedy=True, **NOISY)
    findings = audit(plan, SMALL, node_command=cheating("hold", slot=1, folder=tmp_path))
    assert [name for name, verdict in verdicts(findings).items() if verdict == REFUTED] == [
        "imports",
        "sockets",
        "files",
    ]
    assert said(findings, "imports") == "node 1 imports torch"
    assert said(findings, "sockets").startswith("node 1 has inet stream at 127.0.0.1:")
    assert said(findings, "files") == f"node 1 can write to {tmp_path / 'notes'}"


def test_a_team_without_messages_passes_with_an_empty_matrix(monkeypatch):
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    plan = relay_plan(2, greedy=True, messages=False, **NOISY)
    findings = audit(plan, SMALL)
    assert not findings.refuted
    assert findings.matrix(LINK) == findings.matrix(WORLD) == [[None, None], [None, None]]
    assert {name: verdicts(findings)[name] for name in ("isolation", "one link")} == {
        "isolation": HOLDS,
        "one link": NOT_CHECKED,
    }
    assert verdicts(findings)["sockets"] == NOT_CHECKED, "as without psutil"
    assert "pip install 'heliograph[bandwidth]'" in said(findings, "sockets")


def test_ctrl_c_keeps_what_was_found(monkeypatch):
    assessed = []

    def assess(*arguments, **keywords):
        assessment.assess(*arguments, **keywords)
        assessed.append(arguments)
        if len(assessed) == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(audit_module, "assess", assess)
    findings = audit(relay_plan(2, greedy=True, **NOISY), SMALL)
    assert findings.interrupted
    assert not findings.refuted
    assert {name: verdicts(findings)[name] for name in ("isolation", "one link", "one process", "sockets")} == {
        "isolation": HOLDS,
        "one link": NOT_CHECKED,
        "one process": HOLDS,
        "sockets": HOLDS,
    }
    assert remarks(findings)[0].startswith("Interrupted")


def test_a_node_that_dies_in_the_middle_ends_the_audit_with_its_last_words(tmp_path):
    with pytest.raises(NodeFailed, match=r"node 0 ended with code 9(.|\n)*that was enough") as caught:
        audit(
            relay_plan(2, greedy=True, **NOISY),
            SMALL,
            node_command=cheating("die", slot=0, folder=tmp_path),
            log_folder=tmp_path / "logs",
        )
    assert "import time" not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("scripts", 0), ("steps", 1), ("limit", 0)])
def test_an_audit_of_nothing_is_refused(name, value):
    with pytest.raises(SettingsError, match="episodes" if name == "scripts" else name):
        dataclasses.replace(SMALL, **{name: value})


def test_a_team_of_one_is_refused():
    plan = relay_plan(2)
    alone = dataclasses.replace(plan, bundles=plan.bundles[:1])
    with pytest.raises(SettingsError, match="a team of one"):
        audit(alone, SMALL)


def test_the_command_writes_what_it_found_and_refuses_another_environment(tmp_path, capsys):
    folder = save_team(relay_bundles(2, **NOISY), tmp_path / "bundles")
    arguments = ["audit", str(folder), "--episodes", "1", "--steps", "3", "--out", str(tmp_path / "out"), "--central"]
    assert main(arguments) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert re.search(r"Nothing refutes .*, as far as was checked; not checked: .*trainer's networks", shown)
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    networks = next(check for check in document["checks"] if check["name"] == "trainer's networks")
    assert networks["verdict"] == NOT_CHECKED
    assert "is not in a run folder" in networks["said"]
    assert main(["audit", str(folder), "--environment", "flatland"]) == 3
    assert "trained in 'relay'" in capsys.readouterr().err
    assert REFUTED_EXIT_CODE == 1
