"""The shape of the tree: who may import whom, sizes of files, settings files, stubs, packaging, fast `--help`."""

from __future__ import annotations

import ast
import filecmp
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import structure
from google.protobuf import descriptor_pb2

from heliograph.settings import read_toml

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOUSES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
SIMULATORS = (
    *("pettingzoo", "gymnasium", "mpe2", "pygame", "flatland", "jaxmarl", "jax", "smacv2", "pysc2"),
    *("mujoco", "gymnasium_robotics", "Box2D", "gfootball"),
)
CONTRACTS = {contract["id"]: contract["name"] for contract in PYPROJECT["tool"]["importlinter"]["contracts"]}
FORBIDDEN = {
    "runtime": ("agent_node/agent.py", "coordinator.world.world"),
    "no-trainer-in-the-runtime": ("heliograph/noise.py", "torch"),
    "no-runtime-in-the-trainer": ("trainer/nets/level.py", "heliograph.rpc"),
    "no-world-in-a-node": ("agent_node/message.py", "heliograph.environments.registry"),
    "nodes-are-processes": ("coordinator/world/world.py", "agent_node.node"),
    "simulators-behind-environments": ("heliograph/bundle.py", "jax"),
    "models-run-in-nodes": ("coordinator/world/world.py", "onnxruntime"),
    "protobuf-stays-on-the-wire": ("coordinator/world/world.py", "heliograph.pb.peer_pb2"),
    "comparison-reads-files": ("analysis/comparison/results.py", "coordinator.recording.reader"),
    "within-the-coordinator": ("coordinator/channel/keys.py", "coordinator.world.world"),
    "within-analysis": ("analysis/audit/files.py", "analysis.bandwidth.page"),
    "within-the-trainer": ("trainer/policy/returns.py", "trainer.world_model.loss"),
    "no-circles": ("heliograph/codecs/bit_packed.py", "heliograph.manifest"),
}
MAX_LINES = 400
MAX_PARAMETERS = 6
MAX_HELP_MODULES = 400
"""What makes help slow is what it imports, which can be counted; numpy alone is 180 modules."""
HEAVY = ("torch", "grpc", "onnxruntime", "onnx", *SIMULATORS)
COMMANDS = sorted(PYPROJECT["project"]["entry-points"]["heliograph.commands"])
SUBCOMMANDS = [
    *(f"bandwidth {name}" for name in ("measure", "recost", "language")),
    *(f"bundle {name}" for name in ("pack", "inspect", "verify", "sign")),
    *(f"campaign {name}" for name in ("run", "report", "render", "tune", "work")),
]
GENERATED = ROOT / "heliograph" / "pb"
PROTOS = sorted((ROOT / "proto" / "heliograph" / "v1").glob("*.proto"))
STUBS_MADE_WITH = "1.74.0"


def sources(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if GENERATED not in path.parents)


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """The contracts of `[tool.importlinter]`, held against the packages in a folder."""
    program = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    )
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120)


def test_nobody_imports_what_its_package_may_not() -> None:
    pytest.importorskip("importlinter")
    result = linted(ROOT)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


def test_a_forbidden_import_is_found(tmp_path: Path) -> None:
    """One for each contract, all at once, since building the graph of imports is what takes its time."""
    pytest.importorskip("importlinter")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in HOUSES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    assert FORBIDDEN.keys() == CONTRACTS.keys()
    for module, imported in FORBIDDEN.values():
        with (tmp_path / module).open("a") as file:
            file.write(f"\n\ndef late() -> None:\n    import {imported}\n")
    result = linted(tmp_path)
    assert result.returncode == 1
    kept = [name for name in CONTRACTS.values() if f"{name} BROKEN" not in " ".join(result.stdout.split())]
    assert not kept, result.stdout


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


def test_packages_hold_nothing_that_no_package_carries() -> None:
    """Nor what a merge or an editor has left: a file is a module, or is told in `package-data`."""
    setuptools = PYPROJECT["tool"]["setuptools"]
    told = {
        file
        for package, patterns in setuptools["package-data"].items()
        for house in (HOUSES if package == "*" else (package.replace(".", "/"),))
        for pattern in patterns
        for file in (ROOT / house).glob(pattern)
    }
    found = {path for house in HOUSES for path in (ROOT / house).rglob("*") if path.is_file()}
    left = {path for path in found - told if path.suffix != ".py" and "__pycache__" not in path.parts}
    assert not left


def test_no_file_is_two_ideas_long() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources(*HOUSES, "tests", "benchmarks", "examples")}
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MAX_LINES}
    assert not too_long


@pytest.mark.slow
def test_a_function_with_many_parameters_says_why() -> None:
    silent = []
    for path in sources(*HOUSES):  # one by one: hundreds of trees that are kept are looked through by the collector
        for count, source, node in structure.signatures([structure.source_of(ROOT, path)]):
            if count > MAX_PARAMETERS:
                lines = (ROOT / source.path).read_text().splitlines()
                above = lines[min([node.lineno, *(one.lineno for one in node.decorator_list)]) - 2]
                if "parameters" not in above:
                    silent.append(f"{source.path}:{node.lineno} {node.name}: {count}")
    assert not silent


@pytest.mark.slow
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


def test_every_package_says_that_it_is_typed() -> None:
    assert PYPROJECT["tool"]["setuptools"]["package-data"]["*"] == ["py.typed"]
    assert not [package for package in HOUSES if not (ROOT / package / "py.typed").exists()]


def test_types_of_every_package_are_checked() -> None:
    """Whatever is not is a single module, and a comment says why."""
    settings = PYPROJECT["tool"]["mypy"]
    assert settings["strict"]
    assert sorted(settings["packages"]) == sorted(HOUSES)
    assert {name for name in unchecked() if name.endswith("*")} == {"heliograph.pb.*"}, "generated, and nothing else"


def unchecked() -> set[str]:
    overrides = PYPROJECT["tool"]["mypy"]["overrides"]
    return {name for override in overrides if override.get("ignore_errors") for name in override["module"]}


def test_silenced_types_say_which_and_why() -> None:
    """`# type: ignore[code]  # reason`"""
    silenced = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources(*HOUSES)
        if not any(fnmatch(".".join(path.relative_to(ROOT).with_suffix("").parts), name) for name in unchecked())
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if "# type: ignore" in line and not re.search(r"# type: ignore\[[a-z-]+(, [a-z-]+)*\]  # \w+", line)
    ]
    assert not silenced


def test_a_commit_is_checked_as_ci_checks() -> None:
    yaml = pytest.importorskip("yaml")
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--dry-run", "--silent", "check", "--assume-old", ".venv/.installed"]
    made = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, timeout=60, check=True)
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repository["hooks"]] == made.stdout.splitlines()
    assert repository["repo"] == "local"
    assert {(hook["language"], hook["pass_filenames"]) for hook in repository["hooks"]} == {("system", False)}


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


HELPS = ["", *COMMANDS, *SUBCOMMANDS]
TELLING = """
import json, os, sys
from heliograph.cli import main
for command in json.loads(sys.argv.pop()):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writes, 1)
        try:
            main([*command.split(), "--help"])
            code = None
        except SystemExit as stop:
            code = stop.code
        sys.stdout.flush()
        os.write(2, json.dumps([command, code, sorted(sys.modules)]).encode() + b"\\n")
        os._exit(0)
    os.close(writes)
    with open(reads) as told:
        print(json.dumps([command, told.read()]), flush=True)
    os.waitpid(child, 0)
"""
"""Loads what every command begins with once, and asks each for help in a fork of that."""


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[str, int | None, set[str]]]:
    """What each command tells, its exit code, and the modules that it has loaded by then."""
    done = subprocess.run(
        [sys.executable, "-c", TELLING, json.dumps(HELPS)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = dict(map(json.loads, done.stdout.splitlines()))
    reports = [json.loads(line) for line in done.stderr.splitlines()]
    return {command: (told[command], code, set(modules)) for command, code, modules in reports}


@pytest.mark.parametrize("command", HELPS)
def test_help_answers_before_any_framework_loads(
    command: str, helps: dict[str, tuple[str, int | None, set[str]]]
) -> None:
    told, code, modules = helps[command]
    assert code == 0
    assert told.startswith("usage: heliograph")
    assert not {name.partition(".")[0] for name in modules} & set(HEAVY)
    assert len(modules) < MAX_HELP_MODULES
