"""What `import heliograph` offers: the same names everywhere, loaded when used, and a sentence for what is absent."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import heliograph
from heliograph import surface
from heliograph.errors import MissingExtra
from heliograph.extras import install

ROOT = Path(__file__).parents[2]
NAMES = {
    *("load_team", "make_environment", "errors"),
    *("Agent", "Node", "World"),
    *("train", "evaluate", "run", "bandwidth", "audit"),
    *("pack", "onnx_of"),
}
"""Public: whoever takes one away, or gives it another meaning, breaks programs of others."""
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][surface.GROUP]


def in_a_process_of_its_own(program: str) -> object:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_names_are_those_that_were_promised() -> None:
    assert set(heliograph.__all__) == NAMES | {"__version__"}
    assert set(dir(heliograph)) >= NAMES
    assert set(DECLARED) | set(surface.OWN) == NAMES


def test_type_checkers_see_what_is_imported() -> None:
    stub = ast.parse((ROOT / "heliograph" / "__init__.pyi").read_text())
    seen = {
        alias.asname: f"{node.module}:{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {**DECLARED, **surface.OWN, "errors": "heliograph:errors"}


def test_the_version_is_a_plain_text_that_packaging_reads_without_importing() -> None:
    body = ast.parse((ROOT / "heliograph" / "__init__.py").read_text()).body
    first = next(node for node in body if isinstance(node, ast.Assign))
    assert ast.unparse(first) == f"__version__ = {heliograph.__version__!r}"


def test_importing_it_loads_and_reads_no_more_than_itself() -> None:
    """So it takes no time, however busy the machine is."""
    report = in_a_process_of_its_own(
        "import __future__, json, sys\n"
        "before, done = set(sys.modules), []\n"
        "sys.addaudithook(lambda event, arguments: done.append((event, str(arguments[0] if arguments else ''))))\n"
        "import heliograph\n"
        "seen = list(done)\n"
        "print(json.dumps([sorted(set(sys.modules) - before), seen]))"
    )
    assert isinstance(report, list)
    loaded, done = report
    assert loaded == ["heliograph"]
    own = Path(heliograph.__file__).parent
    assert {Path(name).parent for event, name in done if event == "open"} <= {own, own / "__pycache__"}
    assert not {event.partition(".")[0] for event, _ in done} & {"subprocess", "socket", "ctypes", "glob"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(surface.OWN))
def test_own_names_load_no_role_and_no_framework(name: str) -> None:
    loaded = in_a_process_of_its_own(
        f"import json, sys, heliograph; heliograph.{name}\n"
        "print(json.dumps(sorted({module.partition('.')[0] for module in sys.modules})))"
    )
    assert isinstance(loaded, list)
    assert not {"agent_node", "coordinator", "analysis", "trainer", "torch", "grpc", "onnxruntime"} & set(loaded)


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        *((name, DECLARED[name].partition(".")[0]) for name in sorted(DECLARED)),
        ("make_environment", "heliograph.environments"),  # which the image of a node has not
        ("bandwidth", "analysis.api"),  # and that of the trainer, which compares
    ],
)
def test_what_is_not_installed_is_a_sentence(name: str, absent: str) -> None:
    told = in_a_process_of_its_own(
        "import importlib.abc, json, sys\n"
        "class Absent(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, module, path, target=None):\n"
        f"        if module == {absent!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {module!r}', name=module)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import heliograph\n"
        "try:\n"
        f"    heliograph.{name}\n"
        "except heliograph.errors.MissingExtra as error:\n"
        "    print(json.dumps(str(error)))"
    )
    assert told == f"heliograph.{name} needs {absent}, which this installation has not. {install()}"


def test_a_name_that_no_installed_package_declares_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "GROUP", "heliograph.nobody")
    with pytest.raises(MissingExtra, match=r"no installed package offers heliograph\.audit"):
        surface.resolve("audit")


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evalaute'"):
        _ = heliograph.evalaute  # type: ignore[attr-defined]
