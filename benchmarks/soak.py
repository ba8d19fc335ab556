"""A team that plays for long while its nodes are killed and stopped: no hang, no leak, every step accounted for.

    python benchmarks/soak.py [--agents 8] [--steps 10000] [--kills 20] [--stops 40] [--seed 0] [--bundles DIR]
                              [--json FILE]

Processes on this machine: a coordinator, and a node for each slot with an untrained bundle of relay (width 64, see
untrained_team.py), or with those of DIR.  At steps that the seed decides nodes are killed (SIGKILL) and started again,
and stopped and continued (SIGSTOP, 0.2 to 3 s).  The first half of the slots is spared the kills, so that there are
processes that live through all of it.  Prints a table and ends with 1 unless

    no hang     some episode ends within --patience-s, and no step takes longer than the action deadline and a second
    no leak     RSS of the coordinator and of each node process that lived for long is flat within 5 %: medians of four
                windows after the warm-up, the first quarter of its life; one that lived for less than a minute is too
                young to say
    accounted   every episode is finished once, each agent acted or idled at each step, the report says the same, every
                message between nodes that lived through was received, and nobody died but by a kill from here

Linux, for memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from soak_faults import Executioner, schedule
from untrained_team import EPISODE_STEPS, exported

from coordinator.serving.supervisor import Supervisor, node_command

ACTION_DEADLINE_S, MESSAGE_DEADLINE_S = 1.0, 0.3
START_TIMEOUT_S, END_TIMEOUT_S = 120.0, 15.0
LOOK_INTERVAL_S, MEMORY_INTERVAL_S = 0.05, 1.0
WARM_UP, WINDOWS, FLAT = 0.25, 4, 0.05
LONG_S = 60.0
HIDDEN, LAYERS = 64, 1


@dataclass(kw_only=True)
class Memory:
    """RSS of one process, in MB (2**20 bytes), every second."""

    name: str
    process: psutil.Process
    rss_mb: list[float] = field(default_factory=list)

    def look(self) -> None:
        with suppress(psutil.NoSuchProcess):  # what it held until then counts
            if rss := self.process.memory_info().rss:  # a process that was not waited for yet has none
                self.rss_mb.append(rss / 2**20)

    @property
    def is_old(self) -> bool:
        return len(self.rss_mb) * MEMORY_INTERVAL_S >= LONG_S

    def windows(self) -> list[float]:
        """Medians after the warm-up."""
        settled = self.rss_mb[int(len(self.rss_mb) * WARM_UP) :]
        cuts = [len(settled) * part // WINDOWS for part in range(WINDOWS + 1)]
        return [statistics.median(settled[low:high]) for low, high in itertools.pairwise(cuts)]

    @property
    def spread(self) -> float:
        medians = self.windows()
        return max(medians) / min(medians) - 1


class Book:
    """The coordinator's file of finished episodes, read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self.episodes: list[dict[str, Any]] = []
        self.steps = 0
        self.last_end = time.monotonic()
        self.longest_pause_s = 0.0

    def look(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        new = [entry for entry in map(json.loads, whole.splitlines()) if entry["kind"] == "episode"]
        if new:
            now = time.monotonic()
            if self.episodes:
                self.longest_pause_s = max(self.longest_pause_s, now - self.last_end)
            self.last_end = now
            self.episodes += new
            self.steps += sum(entry["steps"] for entry in new)


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """What came of it."""

    book: Book
    memories: list[Memory]
    faults: Executioner
    seconds: float
    spared: tuple[int, ...]
    still_stopped: frozenset[int]
    """Slots that stood still when the run ended, and so had no chance to say what they received."""
    report: dict[str, Any] | None
    """None: it hung, or the coordinator ended otherwise."""
    coordinator_code: int | None


def soak(bundles: Path, folder: Path, *, agents: int, namespace: argparse.Namespace) -> Soaked:
    """Play in `folder` until the steps are played, or an episode takes longer than the patience."""
    book, report_path, said = Book(folder / "episodes.jsonl"), folder / "report.json", folder / "coordinator.log"
    command = [sys.executable, "-m", "heliograph", "coordinator", "--bundles", str(bundles), "--listen", "127.0.0.1:0"]
    command += ["--episodes", str(-(-namespace.steps // EPISODE_STEPS)), "--resume", str(folder / "episodes.jsonl")]
    command += [
        "--json",
        str(report_path),
        "--start-timeout-s",
        str(START_TIMEOUT_S),
        "--set",
        f"length={EPISODE_STEPS}",
    ]
    command += ["--message-deadline-s", str(MESSAGE_DEADLINE_S), "--action-deadline-s", str(ACTION_DEADLINE_S)]
    command += ["--seed", str(namespace.seed)]
    with said.open("wb") as log:
        coordinator = subprocess.Popen(command, stdout=log, stderr=log)
    spared = tuple(range((agents + 1) // 2))
    try:
        address = _address(coordinator, said)
        with Supervisor(
            lambda slot: node_command(address, slot, join_timeout_s=START_TIMEOUT_S), log_folder=folder
        ) as nodes:
            faults = Executioner(
                nodes=nodes,
                faults=schedule(
                    steps=namespace.steps,
                    kills=namespace.kills,
                    stops=namespace.stops,
                    team=range(agents),
                    spared=spared,
                    seed=namespace.seed,
                ),
            )
            for slot in range(agents):
                nodes.start(slot)
            memories, seconds = _watch(coordinator, book, faults, patience_s=namespace.patience_s)
            still_stopped = frozenset(faults.stopped)
            faults.go_on()
            code = coordinator.poll()
            if code is not None:
                nodes.wait(timeout_s=END_TIMEOUT_S)
    finally:
        if coordinator.poll() is None:
            coordinator.kill()
        coordinator.wait(END_TIMEOUT_S)
    book.look()
    report = json.loads(report_path.read_text()) if report_path.exists() else None
    if code != 0:
        print(said.read_text(), file=sys.stderr)
    return Soaked(
        book=book,
        memories=memories,
        faults=faults,
        seconds=seconds,
        spared=spared,
        still_stopped=still_stopped,
        report=report,
        coordinator_code=code,
    )


def _address(coordinator: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (found := re.search(r"nodes at (\S+)\n", said.read_text())):
        if coordinator.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the coordinator does not wait for nodes:\n{said.read_text()}")
        time.sleep(LOOK_INTERVAL_S)
    return found[1]


def _watch(
    coordinator: subprocess.Popen[bytes], book: Book, faults: Executioner, *, patience_s: float
) -> tuple[list[Memory], float]:
    """Look on until the coordinator ends or hangs; the memory that everybody held, and the seconds since step 0."""
    memories = {coordinator.pid: Memory(name="coordinator", process=psutil.Process(coordinator.pid))}
    began = book.last_end = time.monotonic()
    patience_s += START_TIMEOUT_S
    looked = began
    while coordinator.poll() is None and time.monotonic() - book.last_end < patience_s:
        had = len(book.episodes)
        book.look()
        if book.episodes and not had:
            began = book.last_end
            patience_s -= START_TIMEOUT_S
        faults.look(book.steps)
        if book.episodes and time.monotonic() - looked >= MEMORY_INTERVAL_S:
            looked = time.monotonic()
            for slot in faults.nodes.running:
                process = faults.nodes.process(slot)
                if process.pid not in memories:
                    memories[process.pid] = Memory(name=f"node {slot}", process=psutil.Process(process.pid))
            for memory in memories.values():
                memory.look()
        time.sleep(LOOK_INTERVAL_S)
    return list(memories.values()), time.monotonic() - began


def violations(soaked: Soaked, *, agents: int, episodes: int) -> list[str]:
    """What should not have been; none if all is well."""
    book, report = soaked.book, soaked.report
    found = list(soaked.faults.unforeseen)
    if soaked.coordinator_code is None:
        found.append(f"it hung: no episode ended for {time.monotonic() - book.last_end:.0f} s")
    elif soaked.coordinator_code != 0:
        found.append(f"the coordinator ended with code {soaked.coordinator_code}")
    if [entry["episode"] for entry in book.episodes] != list(range(episodes)):
        found.append(f"the episodes are not 0 to {episodes - 1}, each once, but {len(book.episodes)}")
    for entry in book.episodes:
        acts = len(entry["computed_s"])
        if acts + entry["idle"] != agents * entry["steps"]:
            found.append(f"episode {entry['episode']}: {acts} acts and {entry['idle']} idle actions")
        if max(entry["latency_s"]) > ACTION_DEADLINE_S + 1:
            found.append(f"episode {entry['episode']}: a step of {max(entry['latency_s']):.1f} s")
    found += [
        f"{memory.name}: RSS spreads by {memory.spread:.1%}"
        for memory in soaked.memories
        if memory.is_old and memory.spread > FLAT
    ]
    if soaked.faults.faults:
        found.append(f"{len(soaked.faults.faults)} faults never happened")
    if report is not None:
        (summary,) = report["summaries"]
        for name in ("steps", "idle"):
            booked = sum(entry[name] for entry in book.episodes)
            if summary[name] != booked:
                found.append(f"the report has {summary[name]} {name}, its episodes {booked}")
        for link in report["links"]:
            ends = {link["sender"], link["receiver"]}
            fine = {0, None} if ends & soaked.still_stopped else {0}
            if ends <= set(soaked.spared) and link["missing"] not in fine:
                found.append(f"link {link['sender']}->{link['receiver']}: {link['missing']} missing")
    return found


def table(soaked: Soaked, *, agents: int) -> list[tuple[str, str]]:
    """The figures, by name."""
    book, report = soaked.book, soaked.report
    acts = sum(len(entry["computed_s"]) for entry in book.episodes)
    idle = sum(entry["idle"] for entry in book.episodes)
    latency = [value for entry in book.episodes for value in entry["latency_s"]]
    known = [] if report is None else [link for link in report["links"] if link["missing"] is not None]
    rows = [
        ("steps, in episodes", f"{book.steps} in {len(book.episodes)}"),
        ("seconds, steps per second", f"{soaked.seconds:.0f}, {book.steps / soaked.seconds:.1f}"),
        ("kills, stops", f"{soaked.faults.kills}, {soaked.faults.stops}"),
        (
            "longest step, median",
            f"{max(latency):.2f} s, {statistics.median(latency) * 1e3:.1f} ms" if latency else "none",
        ),
        ("longest pause between ends of episodes", f"{book.longest_pause_s:.1f} s"),
        ("agent-steps = acts + idle actions", f"{agents * book.steps} = {acts} + {idle}"),
        (
            "masked messages",
            f"{sum(e['masked'] for e in book.episodes)} of {sum(e['hearable'] for e in book.episodes)}",
        ),
        ("acts after their step", "" if report is None else str(report["stale_acts"])),
        (
            "links that conserve, of those known",
            f"{sum(link['missing'] == 0 for link in known)} of {len(known)}, "
            f"{sum(link['sent'] for link in known)} messages",
        ),
    ]
    for memory in soaked.memories:
        if memory.is_old:
            medians = " ".join(f"{value:.1f}" for value in memory.windows())
            rows.append((f"RSS of {memory.name}, MB", f"{medians} ({memory.spread:.1%}, {len(memory.rss_mb)} s)"))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience-s", type=float, default=60.0)
    parser.add_argument("--bundles", type=Path, metavar="DIR", help="a team that plays relay")
    parser.add_argument("--json", type=Path)
    namespace = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("skipped: memory is read from Linux's /proc")
        return 0
    with tempfile.TemporaryDirectory(prefix="heliograph-soak-") as temporary:
        folder = Path(temporary)
        bundles = namespace.bundles
        if bundles is None:
            bundles = exported(folder, agents=namespace.agents, hidden=HIDDEN, layers=LAYERS)
        soaked = soak(bundles, folder, agents=namespace.agents, namespace=namespace)
    wrong = violations(soaked, agents=namespace.agents, episodes=-(-namespace.steps // EPISODE_STEPS))
    rows = table(soaked, agents=namespace.agents)
    for name, value in rows:
        print(f"{name:40} {value}")
    for sentence in wrong:
        print(f"VIOLATED: {sentence}")
    if namespace.json:
        namespace.json.write_text(json.dumps({"figures": dict(rows), "violated": wrong}, indent=2) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
