"""What a cut between a team and its coordinator costs the run: nothing, up to the grace.  Needs root on Linux, and nft.

    sudo python benchmarks/cuts.py [--seconds 30] [--kinds drop reset] [--agents 2] [--rejoin-s 60] [--json FILE]

Nodes and coordinator are processes that talk TLS, in two networks that one virtual link joins.  During an episode all
packets on it are dropped without a word ("drop"), or every connection over it is reset ("reset"), for so many seconds;
then the link is as before.  Prints what the run says of itself, and ends with 1 unless every process ended with 0, no
agent idled, no message was masked and none is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from untrained_team import exported

from coordinator.serving.team_certificates import temporary
from heliograph.grace import REJOIN_S, add_rejoin_argument
from heliograph.network.namespace import Namespace, join

FATES = {"drop": "drop", "reset": "reject with tcp reset"}
"""What nft does with a packet."""

CHIEF, FIELD = "10.78.0.1", "10.78.0.2"
PORT = 7100
END_TIMEOUT_S = 120.0

CUT = """
table ip cut {{
    chain incoming {{ type filter hook input priority 0; iifname "wire" ip protocol tcp {fate}; }}
    chain outgoing {{ type filter hook output priority 0; oifname "wire" ip protocol tcp {fate}; }}
}}
"""


def networks(stack: ExitStack) -> tuple[Namespace, Namespace]:
    """That of the coordinator and that of the nodes, joined by a link that both call "wire"."""
    chief, field = Namespace(), Namespace()
    for one in (chief, field):
        stack.callback(one.close)
    join(chief, field, names=("wire", "wire"), addresses=("02:00:00:00:78:01", "02:00:00:00:78:02"))
    for one, address in ((chief, CHIEF), (field, FIELD)):
        one.tool("ip", "address", "add", f"{address}/24", "dev", "wire")
        one.tool("ip", "link", "set", "wire", "up")
    return chief, field


def played(arguments: argparse.Namespace, kind: str, folder: Path) -> dict[str, Any]:
    """One run with one cut; what came of it."""
    bundles = exported(folder, agents=arguments.agents, hidden=32, layers=1)
    result, log = folder / f"{kind}.json", folder / f"{kind}.log"
    with ExitStack() as stack:
        chief, field = networks(stack)
        certificates = stack.enter_context(temporary(arguments.agents))
        heliograph = [sys.executable, "-m", "heliograph"]
        processes: list[subprocess.Popen[bytes]] = []

        def start(network: Namespace, *command: object, said: Path) -> None:
            output = stack.enter_context(said.open("wb"))
            process = subprocess.Popen([*network.prefix, *heliograph, *map(str, command)], stdout=output, stderr=output)
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.kill)

        safe = ("--tls", certificates, "--log-level", "info")
        start(
            chief,
            *("coordinator", "--bundles", bundles, "--listen", f"0.0.0.0:{PORT}", *safe),
            *("--rejoin-s", arguments.rejoin_s, "--episodes", 20, "--period-s", 0.05, "--json", result),
            said=log,
        )
        for slot in range(arguments.agents):
            start(
                field,
                *("node", "--coordinator", f"{CHIEF}:{PORT}", "--slot", slot, *safe),
                *("--listen", f"{FIELD}:0", "--advertise", FIELD),
                said=folder / f"{kind}-{slot}.log",
            )
        _until_said(log, "running address", processes[0])
        time.sleep(2.0)
        chief.tool("nft", "-f", "-", script=CUT.format(fate=FATES[kind]))
        time.sleep(arguments.seconds)
        chief.tool("nft", "delete", "table", "ip", "cut")
        codes = [process.wait(END_TIMEOUT_S) for process in processes]
    report = json.loads(result.read_text()) if result.exists() else {"summaries": [], "cuts": [], "links": []}
    [summary] = report["summaries"] or [{"episodes": 0, "idle": None, "masked": None, "missing": None}]
    return {
        "kind": kind,
        "seconds": arguments.seconds,
        "exit_codes": codes,
        "cuts": report["cuts"],
        **{name: summary[name] for name in ("episodes", "idle", "masked", "missing")},
        "survived": not any(codes) and summary["idle"] == summary["masked"] == summary["missing"] == 0,
    }


def _until_said(log: Path, part: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + END_TIMEOUT_S
    while part not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the coordinator never said {part!r}:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=REJOIN_S / 2)
    parser.add_argument("--kinds", nargs="+", choices=FATES, default=list(FATES))
    parser.add_argument("--agents", type=int, default=2)
    parser.add_argument("--json", type=Path)
    add_rejoin_argument(parser, help="the team's grace")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [played(arguments, kind, Path(folder)) for kind in arguments.kinds]
    for line in found:
        print(json.dumps(line))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0 if all(line["survived"] for line in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
