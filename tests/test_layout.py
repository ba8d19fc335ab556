"""The shape of the tree: who may import whom, sizes of files, settings files, stubs, packaging, fast `--help`."""

from __future__ import annotations

import ast
import filecmp
import importlib
import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from heliograph.settings import read_toml

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOUSES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
SIMULATORS = (
    *("pettingzoo", "gymnasium", "mpe2", "pygame", "flatland", "jaxmarl", "jax", "smacv2", "pysc2"),
    *("mujoco", "gymnasium_robotics"),
)
FORBIDDEN = {
    "heliograph": ("torch", "onnxruntime", "agent_node", "coordinator", "analysis", "trainer"),
    "agent_node": ("torch", "heliograph.environments", "coordinator", "analysis", "trainer", *SIMULATORS),
    "coordinator": ("torch", "trainer", "analysis", "agent_node", *SIMULATORS),
    "analysis": ("torch", "trainer", "agent_node", *SIMULATORS),
    "analysis/comparison": ("coordinator", "grpc"),
    "trainer": ("grpc", "heliograph.rpc", "heliograph.pb", "agent_node", "coordinator", "analysis", *SIMULATORS),
}
EXCEPTIONS = {
    ("coordinator/running/in_process.py", "agent_node"),
    ("analysis/bandwidth/language/rehearsal.py", "agent_node"),
}
MAX_LINES = 400
MAX_HELP_CPU_S = 0.5
HEAVY = ("torch", "grpc", "onnxruntime", "onnx", *SIMULATORS)
COMMANDS = sorted(PYPROJECT["project"]["entry-points"]["heliograph.commands"])
GENERATED = ROOT / "heliograph" / "pb"
PROTOS = sorted((ROOT / "proto" / "heliograph" / "v1").glob("*.proto"))
STUBS_MADE_WITH = "1.74.0"


def sources(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if GENERATED not in path.parents)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by full name; for `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: relative import"
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("house", FORBIDDEN)
def test_nobody_imports_what_its_house_may_not(house: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(house)
        for module in imported(path)
        for package in FORBIDDEN[house]
        if within(module, package) and (str(path.relative_to(ROOT)), package) not in EXCEPTIONS
    ]
    assert not wrong


def test_simulators_are_named_in_the_environments_alone() -> None:
    environments = ROOT / "heliograph" / "environments"
    users = [path for path in sources("heliograph") for module in imported(path) if module.split(".")[0] in SIMULATORS]
    assert users
    assert all(environments in path.parents for path in users)


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("heliograph.settings", ()),
        ("heliograph.bundle", ()),
        ("heliograph.cli", ()),
        ("heliograph.environments.registry", ()),
        ("heliograph.environments.parallel", ()),
        ("heliograph.rpc", ("grpc",)),
    ],
)
def test_shared_modules_load_nothing_heavy(module: str, allowed: tuple[str, ...]) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(result.stdout)}
    assert loaded & set(HEAVY) <= set(allowed)


def test_no_file_is_two_ideas_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources(*HOUSES, "tests", "benchmarks", "examples")}
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MAX_LINES}
    assert not too_long


def test_every_module_says_what_it_holds() -> None:
    silent = [path for path in sources(*HOUSES) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in sources("tests") if path.name != "conftest.py"]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("path", sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.toml")), ids=str)
def test_every_settings_file_loads(path: Path) -> None:
    assert read_toml(path)


def test_every_folder_with_code_is_packaged() -> None:
    folders = {path.parent for path in sources(*HOUSES)} | {GENERATED}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]
    patterns = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert sorted(pattern.removesuffix("*") for pattern in patterns) == sorted(HOUSES)


def test_stubs_are_packaged_with_their_types() -> None:
    assert PYPROJECT["tool"]["setuptools"]["package-data"]["heliograph.pb"] == ["*.pyi"]
    expected = {f"{proto.stem}{ending}" for proto in PROTOS for ending in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")}
    present = {path.name for path in GENERATED.iterdir() if path.suffix in (".py", ".pyi")}
    assert present == expected | {"__init__.py"}


def test_stubs_are_those_of_the_protos(tmp_path: Path) -> None:
    """With the pinned compiler text for text; with another one, which formats differently, by their descriptors."""
    pytest.importorskip("grpc_tools")
    # In a process of its own: the compiler brings a protobuf runtime that must not meet the one of the other tests.
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-Iheliograph/pb={PROTOS[0].parent.relative_to(ROOT)}"]
    inputs = [str(proto.relative_to(ROOT)) for proto in PROTOS]
    if importlib.metadata.version("grpcio-tools") == STUBS_MADE_WITH:
        outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
        subprocess.run([*command, *outputs, *inputs], cwd=ROOT, timeout=60, check=True)
        names = [path.name for path in (tmp_path / "heliograph" / "pb").iterdir()]
        same, differing, failing = filecmp.cmpfiles(GENERATED, tmp_path / "heliograph" / "pb", names, shallow=False)
        assert (differing, failing) == ([], [])
        assert len(same) == 3 * len(PROTOS)
        return
    made = tmp_path / "descriptors"
    subprocess.run([*command, f"--descriptor_set_out={made}", *inputs], cwd=ROOT, timeout=60, check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file
    assert len(files) == len(PROTOS)
    for file in files:
        stub = importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        checked_in = descriptor_pb2.FileDescriptorProto()
        stub.DESCRIPTOR.CopyToProto(checked_in)
        assert without_json_names(checked_in) == without_json_names(file), file.name


def without_json_names(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """The compiler writes out the derived JSON names and Python's descriptors do not."""
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
    return file


def test_stubs_were_made_with_the_pinned_compiler() -> None:
    pinned = f"grpcio-tools=={STUBS_MADE_WITH}"
    assert pinned in PYPROJECT["project"]["optional-dependencies"]["test"]
    assert pinned in (ROOT / "Makefile").read_text()
    for proto in PROTOS:
        assert f"GRPC_GENERATED_VERSION = '{STUBS_MADE_WITH}'" in (GENERATED / f"{proto.stem}_pb2_grpc.py").read_text()


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_answers_before_any_framework_loads(command: str | None) -> None:
    arguments = ["--help"] if command is None else [command, "--help"]
    program = (
        "import json, sys, time\n"
        "from heliograph.cli import main\n"
        "code = None\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as stop:\n"
        "    code = stop.code\n"
        "report = {'code': code, 'cpu_s': time.process_time(), 'modules': sorted(sys.modules)}\n"
        "print(json.dumps(report), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stderr.splitlines()[-1])
    assert report["code"] == 0
    assert result.stdout.startswith("usage: heliograph")
    assert not {name.partition(".")[0] for name in report["modules"]} & set(HEAVY)
    assert report["cpu_s"] < MAX_HELP_CPU_S
