"""What a node gives back once its model is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from child_environment import importing_test_modules

from agent_node import footprint

SMAPS = """\
7f0000000000-7f0000002000 r-xp 00001000 08:01 11                         /usr/lib/run.so
Rss:                   8 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f0000002000-7f0000003000 r--p 00003000 08:01 11                         /usr/lib/run.so
Anonymous:             4 kB
Swap:                  0 kB
7f0000003000-7f0000005000 r--p 00004000 08:01 11                         /usr/lib/\xe9 name\u2028.so
Anonymous:             0 kB
Swap:                  0 kB
7f0000005000-7f0000006000 rw-p 00006000 08:01 11                         /usr/lib/run.so
Anonymous:             0 kB
Swap:                  0 kB
7f0000006000-7f0000007000 rw-p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7f0000007000-7f0000008000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
7f0000008000-7f0000009000 r--p 00007000 08:01 11                         /usr/lib/run.so
Anonymous:             0 kB
Swap:                  4 kB
"""


def test_only_pages_of_files_that_nobody_has_changed_are_given_back(tmp_path: Path) -> None:
    # The name is that of a file as Latin-1 has it, which is no UTF-8.
    (tmp_path / "smaps").write_bytes(SMAPS.encode().replace("\xe9".encode(), b"\xe9"))
    assert list(footprint._unchanged(tmp_path / "smaps")) == [
        (0x7F0000000000, 0x7F0000002000),
        (0x7F0000003000, 0x7F0000005000),
    ]
    for unreadable in (tmp_path / "nothing", tmp_path):
        assert list(footprint._unchanged(unreadable)) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from Linux's /proc")
def test_a_process_needs_less_after_it_and_works_as_before() -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    expected, before = np.linalg.svd(matrix)[1], resident_pages()
    footprint.give_back()
    assert resident_pages() < before
    assert np.array_equal(np.linalg.svd(matrix)[1], expected)


STEPS = """\
import resource
import numpy as np
from scripted_bundle import scripted_bundle
from agent_node import footprint
from agent_node.step_function import StepFunction, expected_tensors

footprint.bound_allocator()
step = StepFunction(scripted_bundle(slot=0, team_size=2, actions=100_000))
footprint.give_back()
inputs, _ = expected_tensors(step.manifest)
feeds = {name: np.ones(shape, dtype=dtype) for name, (dtype, shape) in inputs.items()}

def faults_of(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        step(feeds)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of(10)
print(faults_of(50))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="page faults are counted as Linux does")
def test_a_step_computes_in_memory_that_it_has_already() -> None:
    told = subprocess.run(
        [sys.executable, "-c", STEPS], capture_output=True, text=True, check=True, env=importing_test_modules()
    )
    pages_of_logits = 100_000 * 4 // 4096
    assert int(told.stdout) < 5 * pages_of_logits  # in 50 steps, each of which computes with several such


def resident_pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])
