"""A folder in which a reader follows a document: runs its commands in order, in the background where it says so."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from documents.blocks import Block
from documents.treatments import Shrunk
from reserved_ports import reserved_row

REPOSITORY = Path(__file__).parents[2]
PORTS = {"port": 1, "coordinator": 1, "node": 1, "row": 3}
"""Those that a treatment may name, and how many in a row each begins: a run and its two nodes."""
DEADLINE_S = 240
"""For one command on a busy machine; a command that hangs is a failure."""


class Workplace:
    """The folder of one document, with the reader's own environment, which is that of the example, in it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        """`variables` beside those of this process."""
        self.folder = folder
        (folder / "my_package").mkdir()
        shutil.copyfile(REPOSITORY / "examples" / "own_environment.py", folder / "my_package" / "my_env.py")
        self._held = ExitStack()
        self._ports: dict[str, str] = {}
        self._background: list[tuple[Shrunk, subprocess.Popen[bytes]]] = []
        repeated = shlex.join([sys.executable, str(Path(__file__).with_name("repeated_run.py"))])
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "REPOSITORY": str(REPOSITORY),
            "REPEATED": repeated,
            "COLUMNS": "200",
            **variables,
        }

    def command(self, how: Shrunk) -> None:
        """Run a command to its end, or begin it in the background."""
        for text in filter(None, (how.before, "" if how.background else how.run)):
            done = subprocess.run(
                self._bash(text), cwd=self.folder, env=self.environment, capture_output=True, text=True,
                timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"$ {text}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        if how.background:
            command = self._bash(f"exec {how.run}")
            with (self.folder / f"background-{len(self._background)}.log").open("w", encoding="utf-8") as log:
                process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
            self._background.append((how, process))

    def python(self, block: Block, *, given: str) -> None:
        # A file, because processes that it starts import its main module again.
        program = self.folder / "block.py"
        program.write_text(f"{given}\n{block.text}\n", encoding="utf-8")
        self.command(Shrunk(run=f"{shlex.quote(sys.executable)} -W error {program.name}"))

    def end_block(self) -> None:
        """What runs in the background ends by itself, or when it is told to, in order; either way without an error."""
        background, self._background = self._background, []
        endings = []
        try:
            for how, process in reversed(background):
                if how.background == "stop":
                    assert process.poll() is None, f"{how.run} ended with {process.returncode} before it was told to"
                    process.terminate()
                endings.append((how, process.wait(timeout=DEADLINE_S)))
        finally:
            for _, process in background:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        logs = "\n".join(path.read_text() for path in sorted(self.folder.glob("background-*.log")))
        for how, code in endings:
            assert code == 0 or (how.background == "stop" and code in (-15, 130, 143)), f"{how.run}: {code}\n{logs}"

    def _bash(self, text: str) -> list[str]:
        for name, count in PORTS.items():
            if f"{{{name}}}" in text:
                if name not in self._ports:
                    self._ports[name] = str(self._held.enter_context(reserved_row(count)))
                text = text.replace(f"{{{name}}}", self._ports[name])
        return ["bash", "-euo", "pipefail", "-c", text]

    def close(self) -> None:
        """Let others have its ports."""
        self._held.close()
