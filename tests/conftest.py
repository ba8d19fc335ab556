"""What all tests share: workers that run files side by side, Hypothesis without deadlines, Ctrl-C for children."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from quick_disk import write_quickly
from quick_pictures import DRAWN, QUICK_PICTURES
from quick_traces import trace_quickly
from warm.starting import PLAYING_ADDRESS, playing_variables, variables

from heliograph.cli import GARBAGE_THRESHOLDS
from heliograph.stopping import NUMBERS

# Workers and the processes of their tests share the cores; more threads in each only wait for one another.  It also
# makes sums of floats the same wherever a test runs.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests start hundreds of processes, which would each compile the packages anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A loaded machine is no fault of the code.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("landing", ANY_MACHINE, max_examples=50)
settings.register_profile("thorough", ANY_MACHINE, max_examples=1000)
settings.load_profile("landing")

write_quickly()

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that; a test that
# presses Ctrl-C for a child of its own would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Importing half a million objects, the collector of garbage would look through them again and again, and find none.
gc.disable()

BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Keeps a core busy for as long as the process lives that started it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--busy", type=int, default=0, help="so many processes that each keep a core busy meanwhile")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist, whose controller has started them
        return
    # Hundreds of tests and their processes export teams of a few dozens of structures: each is traced once.
    graphs = tempfile.TemporaryDirectory(prefix="heliograph-graphs-", ignore_cleanup_errors=True)
    config.add_cleanup(graphs.cleanup)
    os.environ["HELIOGRAPH_GRAPHS"] = graphs.name
    # And what JAX compiles for SMAX, in each process anew.
    compiled = tempfile.TemporaryDirectory(prefix="heliograph-compiled-", ignore_cleanup_errors=True)
    config.add_cleanup(compiled.cleanup)
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": compiled.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # To play some hundred steps, compiling for speed takes longer than it saves.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    for _ in range(config.getoption("--busy")):
        loop = subprocess.Popen([sys.executable, "-c", BUSY])
        config.add_cleanup(loop.wait)
        config.add_cleanup(loop.kill)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests come first: what one worker does last, the others wait for.  Alone, one goes in order."""
    if not hasattr(config, "workerinput"):
        return
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What is loaded by now stays; the collector of garbage need not look through torch and the others each time."""
    if "trainer.export.exporting" in sys.modules:
        trace_quickly()
    QUICK_PICTURES.begin()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)  # as commands do
    gc.enable()


@pytest.fixture(autouse=True)
def _paths_of_imports() -> Iterator[None]:
    """A command adds the folder in which a user's environment is; the next test does not look there."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(autouse=True)
def _handlers_of_signals() -> Iterator[None]:
    """A test that leaves a handler of its own would have a signal of a later one do something else, or nothing."""
    before = [signal.getsignal(number) for number in NUMBERS]
    yield
    assert [signal.getsignal(number) for number in NUMBERS] == before, "the test has left a handler of a signal"


@pytest.fixture(autouse=True)
def _pictures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drawn where a test is about them, or a process that starts from nothing draws them."""
    if request.node.get_closest_marker("drawn") is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:  # its own: that of the test is undone before
        patch.setenv(DRAWN, "1")
        QUICK_PICTURES.draw()
        yield
    QUICK_PICTURES.begin()


@pytest.fixture(scope="session", autouse=True)
def _state_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands remember for a user, they remember for the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def warm_variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For the environment of processes whose commands are to begin with torch loaded (`warm/server.py`)."""
    return variables(tmp_path_factory)


@pytest.fixture
def warm_commands(warm_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that the processes of a test run begin so."""
    for name, value in warm_variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def warm_team_variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same for commands that play, and for nodes, with all but torch."""
    return playing_variables(tmp_path_factory)


@pytest.fixture(scope="module")
def warm_teams(warm_team_variables: dict[str, str]) -> Iterator[None]:
    """The commands that play and the nodes that processes of a module's tests and fixtures run begin so."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in warm_team_variables.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def teams_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But not in this test of such a module."""
    monkeypatch.delenv(PLAYING_ADDRESS, raising=False)


@pytest.fixture(scope="session")
def parallel_api_test() -> Callable[..., None]:
    """PettingZoo's own conformance test of parallel environments."""
    with warnings.catch_warnings():
        # PettingZoo's test package imports environments of its own through an interface that it has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("pettingzoo.test").parallel_api_test
