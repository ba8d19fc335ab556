"""Do the tests notice a mistake?  Draws small mistakes at random over all packages and runs the tests on each.

    python benchmarks/mutants.py --seed 1 --count 60 --to mutants.json      # draw them and run the nearest tests
    python benchmarks/mutants.py --to mutants.json --again [--files 40] [--only 3 7]    # once more those that survived
    python benchmarks/mutants.py --to mutants.json --show 3                 # one of them, as a difference

The mistakes are those of `mutations.py`, every one as likely as every other.  Each is made in a copy of the tree, one
at a time, and the `--files` test files that are nearest to it (`mapped_tests.py`) run there until one fails
(`mutated_tree.py`).  It is `killed` if that test passes without the mistake and then fails with it once more,
`survived` if all pass, and `cut` if they took longer than `--budget-s`, which counts as survived.  Times are what the
tests would take on an idle machine (`own_time.py`), so a busy one says the same.  Results are written after each, so
that a run that was stopped goes on where it was; `--again` looks for every mistake in the code as it is now (`gone`:
its line is no more) and runs the tests of now.
Mistakes that no test could notice are no failing of the tests: a person writes down why, in docs/results/mutation.md.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from mapped_tests import PACKAGES, TestMap
from mutated_tree import Tree
from mutations import Mutation, is_real, mutations

ROOT = Path(__file__).parents[1]
GENERATED = Path("heliograph/pb")
TEST_BUDGET_S = 90


def drawn(*, seed: int, count: int) -> list[dict[str, Any]]:
    """So many mistakes of the packages, without the generated stubs; every one as likely as every other."""
    found = [(path, mutation) for path in _files() for mutation in mutations((ROOT / path).read_text())]
    random.Random(seed).shuffle(found)
    real = ((path, mutation) for path, mutation in found if is_real(mutation, (ROOT / path).read_text()))
    return [
        {"number": number, "path": path, **_described(mutation), "status": None}
        for number, (path, mutation) in zip(range(count), real, strict=False)
    ]


def _files() -> list[str]:
    paths = (path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return sorted(str(path) for path in paths if GENERATED not in path.parents)


def _described(mutation: Mutation) -> dict[str, Any]:
    return {name: value for name, value in vars(mutation).items() if name not in ("start", "end")}


def found_again(entry: dict[str, Any], root: Path = ROOT) -> Mutation | None:
    """A drawn mistake in the tree as it is now; None if what it changed is no more."""
    file = root / entry["path"]
    same = ("function", "operator", "original", "mutated", "nth")
    for mutation in mutations(file.read_text()) if file.exists() else []:
        if all(getattr(mutation, name) == entry[name] for name in same):
            return mutation
    return None


def difference(entry: dict[str, Any]) -> str:
    mutation = found_again(entry)
    if mutation is None:
        return "gone"
    before = (ROOT / entry["path"]).read_text()
    lines = difflib.unified_diff(before.splitlines(), mutation.applied(before).splitlines(), n=4, lineterm="")
    return "\n".join([entry["path"], *list(lines)[2:]])


def table(entries: list[dict[str, Any]]) -> str:
    dead = sum(entry["status"] == "killed" for entry in entries)
    lines = [f"{dead} of {sum(entry['status'] not in (None, 'gone') for entry in entries)} killed"]
    for entry in entries:
        if entry["status"] != "killed":
            place = f"{entry['path']}:{entry['line']} {entry['function']}"
            change = " ".join(f"{entry['original']} -> {entry['mutated']}".split())
            lines.append(f"{entry['number']:4} {entry['status']}  {place}  {entry['operator']}: {change[:110]}")
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> None:
    results = Path(arguments.to)
    if results.exists():
        kept = json.loads(results.read_text())
    else:
        kept = {"seed": arguments.seed, "mutants": drawn(seed=arguments.seed, count=arguments.count)}
    entries = kept["mutants"]
    for number in arguments.show:
        print(difference(entries[number]), entries[number]["status"], entries[number].get("killed_by"))
    if arguments.show or arguments.table:
        print(table(entries))
        return
    open_ones = (None, "survived", "cut", "unsure", "gone") if arguments.again else (None,)
    wanted = [entry for entry in entries if entry["status"] in open_ones]
    wanted = [entry for entry in wanted if not arguments.only or entry["number"] in arguments.only]
    with tempfile.TemporaryDirectory() as folder:
        budgets = {"budget_s": arguments.budget_s, "test_budget_s": TEST_BUDGET_S}
        tree = Tree.copied(ROOT, Path(folder), fast=arguments.fast, **budgets)
        tests = TestMap(tree.folder)
        for entry in wanted:
            mutation = found_again(entry, tree.folder)
            if mutation is None:
                entry["status"] = "gone"
            else:
                chosen = arguments.tests or tests.nearest(entry["path"])[: arguments.files]
                entry |= {"line": mutation.line} | tree.verdict(entry["path"], mutation, chosen)
            results.write_text(json.dumps(kept, indent=1) + "\n")
            place = f"{entry['path']}:{entry['line']}"
            print(entry["number"], entry["status"], place, entry.get("killed_by") or "", flush=True)
    print(table(entries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--to", required=True, metavar="FILE", help="where results are kept")
    parser.add_argument("--again", action="store_true", help="run those that were not killed once more")
    parser.add_argument("--only", type=int, nargs="+", default=[], metavar="NUMBER")
    parser.add_argument("--files", type=int, default=6, help="how many test files run for each")
    parser.add_argument(
        "--fast", action="store_true", help="leave out the slow tests; run the survivors --again with them"
    )
    parser.add_argument("--tests", nargs="+", default=[], metavar="FILE", help="these tests instead of the nearest")
    parser.add_argument("--budget-s", type=float, default=300.0, help="for the tests of one mistake, of their own time")
    parser.add_argument("--show", type=int, nargs="+", default=[], metavar="NUMBER", help="print some, run none")
    parser.add_argument("--table", action="store_true", help="print what is known, run none")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the tests it runs end with it
    run(parser.parse_args())


if __name__ == "__main__":
    main()
