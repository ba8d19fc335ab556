"""The container engine and a compose project for the tests of this folder.

`DOCKER_HOST` says which engine; the build arguments of `compose.yaml` come from the environment, too.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD_DEADLINE_S = 1500.0
UP_DEADLINE_S = 500.0
COMMAND_DEADLINE_S = 60.0
ROLES = ("node", "coordinator", "trainer")
RUN = "/runs/relay-signal-2"
"""The run folder of the preset and team size that all projects of these tests have."""


def docker(*arguments: str, timeout_s: float = COMMAND_DEADLINE_S) -> str:
    """What the command printed on its standard output; AssertionError shows all that it said if it failed."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, cwd=ROOT)
    said = f"{result.stdout}{result.stderr}"
    assert result.returncode == 0, f"docker {' '.join(arguments)} ended with {result.returncode}:\n{said}"
    return result.stdout


def docker_says(*arguments: str) -> str:
    """What the command printed on both streams, however it ended."""
    result = subprocess.run(
        ["docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_DEADLINE_S
    )
    return result.stdout


def inspect(kind: str, name: str) -> dict[str, Any]:
    (found,) = json.loads(docker(kind, "inspect", name))
    return found


def in_image(role: str, *command: str) -> str:
    """Run a command in a new container of a role's image with nothing writable but /tmp."""
    program, *arguments = command
    options = ["--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--entrypoint", program]
    return docker("run", *options, f"heliograph-{role}", *arguments)


class Project:
    """A compose project of its own with its own volume; a context manager that leaves nothing of it behind."""

    def __init__(self, *overlays: Path, **settings: object) -> None:
        self.name = f"heliograph-test-{os.getpid()}-{time.monotonic_ns()}"
        self._files = [ROOT / "compose.yaml", *overlays]
        self._ever = dict.fromkeys(self._files)  # shared with the copies: what there is to take down
        self._settings = {f"HELIOGRAPH_{key.upper()}": str(value) for key, value in settings.items()}

    def __enter__(self) -> Project:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files = list(self._ever)
        self.compose("down", "--volumes", "--timeout", "1")

    def with_overlay(self, *overlays: Path) -> Project:
        """The same containers and volumes, changed as the overlays say."""
        other = copy.copy(self)
        other._files = [*self._files, *overlays]
        self._ever.update(dict.fromkeys(overlays))
        return other

    def container(self, service: str, number: int = 1) -> str:
        return f"{self.name}-{service}-{number}"

    @property
    def network(self) -> str:
        return f"{self.name}_default"

    def volume(self, name: str) -> str:
        return f"{self.name}_{name}"

    def compose(self, *arguments: str, timeout_s: float = UP_DEADLINE_S, **settings: object) -> tuple[int, str]:
        """Exit code, and what it printed."""
        result = subprocess.run(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            env=self.environment(settings),
        )
        return result.returncode, result.stdout

    def command(self, *arguments: str) -> list[str]:
        files = [word for file in self._files for word in ("--file", str(file))]
        return ["docker", "compose", "--project-name", self.name, *files, "--ansi", "never", *arguments]

    def environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        given = {f"HELIOGRAPH_{key.upper()}": str(value) for key, value in settings.items()}
        return os.environ | self._settings | given


def run_file(project: Project, name: str) -> dict[str, Any]:
    """A JSON document of the project's run folder."""
    options = ["--rm", "--entrypoint", "cat", "--volume", f"{project.volume('runs')}:/runs:ro"]
    return json.loads(docker("run", *options, "heliograph-coordinator", f"{RUN}/{name}"))


def status(project: Project) -> dict[str, Any]:
    """What the project's run says of its training."""
    return run_file(project, "status.json")


class Log:
    """What a command prints while it runs, waited for line by line; a context manager that ends it."""

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._news: Queue[str] = Queue()
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()

    def until(self, words: str, *, timeout_s: float = UP_DEADLINE_S) -> str:
        """The next line with these words."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"never said {words!r}:\n{''.join(self.lines[-40:])}") from None
            if words in line:
                return line

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._news.put(line)
        self.process.stdout.close()
