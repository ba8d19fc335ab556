"""The functions of the public surface on scripted teams: what they return, in a notebook too, and whom they trust."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from canary_files import MODULE, SYSTEM, make_hostile_files
from relay_team import relay_bundles

import heliograph
from coordinator.plan.options import declared_in
from coordinator.plan.pace import Pace
from coordinator.plan.settings import RunSettings
from heliograph.bundle import save_team
from heliograph.errors import BundleCorrupt, BundleUntrusted, EnvironmentUntrusted, SettingsError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_teams")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the bundles of a scripted team of two."""
    run = tmp_path_factory.mktemp("run")
    save_team(relay_bundles(2), run / "bundles")
    return run


def in_a_notebook(work: Callable[[], Any]) -> Any:
    """Called where an event loop runs already."""

    async def cell() -> Any:
        return work()

    return asyncio.run(cell())


def in_a_thread(work: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    (result,) = found
    return result


PACE = {declared.name for declared in declared_in(Pace)}


@pytest.mark.parametrize(
    ("function", "without"), [(heliograph.evaluate, PACE), (heliograph.run, {"frames"})], ids=["evaluate", "run"]
)
def test_options_of_a_run_are_parameters_with_the_same_defaults(
    function: Callable[..., Any], without: set[str]
) -> None:
    """One process waits for nothing, and processes are not filmed; `conditions` are the passes by plainer names."""
    parameters = inspect.signature(function).parameters
    for declared in declared_in(RunSettings):
        if declared.name not in without | {"passes"}:
            assert parameters[declared.name].default == declared.default, declared.name
    assert parameters["conditions"].default == ("messages",)


def test_a_team_is_loaded_from_a_run_folder_and_from_its_bundles(folder: Path) -> None:
    team = heliograph.load_team(str(folder))
    assert [bundle.manifest.slot for bundle in team] == [0, 1]
    assert [bundle.digest for bundle in heliograph.load_team(folder / "bundles")] == [bundle.digest for bundle in team]
    with pytest.raises(BundleCorrupt):
        heliograph.load_team(folder / "nothing")


def test_an_agent_and_an_environment_are_made_from_what_is_loaded(folder: Path) -> None:
    team = heliograph.load_team(folder)
    agent = heliograph.Agent(team[1], run_seed=0, greedy=True)
    environment = heliograph.make_environment("relay", copies=3, parameters={"agents": 2})
    assert environment.count == 3
    assert environment.spec.observation_size == agent.manifest.observation_size
    environment.close()


@pytest.mark.parametrize(
    "call", [lambda work: work(), in_a_notebook, in_a_thread], ids=["script", "notebook", "thread"]
)
def test_processes_and_one_process_report_the_same_wherever_they_are_called(
    folder: Path, call: Callable[[Callable[[], Any]], Any]
) -> None:
    def options() -> dict[str, Any]:
        return {"episodes": 3, "seed": 5, "conditions": ("messages", "no-messages"), "channel": "erasure=0.3"}

    alone = call(lambda: heliograph.evaluate(folder, **options()))
    apart = call(lambda: heliograph.run(str(folder), message_deadline_s=60, action_deadline_s=120, **options()))
    assert apart.title == "2 processes, scripted in relay"
    assert [summary.label for summary in apart.summaries] == ["with messages", "every message masked"]
    for ours, theirs in zip(alone.summaries, apart.summaries, strict=True):
        assert (ours.outcome, ours.steps, ours.lost) == (theirs.outcome, theirs.steps, theirs.lost)
    assert alone.channel == apart.channel == "erasure=0.3"
    assert apart.summaries[0].lost
    assert not apart.endings


def test_a_run_may_talk_tls_and_change_its_world(folder: Path, tmp_path: Path) -> None:
    report = heliograph.run(folder, episodes=1, tls=True, parameters={"length": 4}, log_folder=tmp_path / "logs")
    assert report.parameters["length"] == 4
    assert sorted(path.name for path in (tmp_path / "logs").iterdir())


@pytest.mark.parametrize("call", [lambda work: work(), in_a_notebook], ids=["script", "notebook"])
def test_bandwidth_returns_the_curves_of_its_report(
    folder: Path, tmp_path: Path, call: Callable[[Callable[[], Any]], Any]
) -> None:
    found = call(
        lambda: heliograph.bandwidth(
            folder, folder=tmp_path / "report", episodes=2, sweep=["erasure=0,0.5"], local_cells=True
        )
    )
    curve = next(curve for curve in found.curves if curve.axis == "erasure")
    assert [point.value for point in curve.points] == ["0", "0.5"]
    assert curve.points[1].read_bits < curve.points[0].read_bits
    assert {layer.name for layer in found.report.layers} >= {"codec", "IP"}
    assert found.run.wire is not None
    assert (found.folder / "report.json").is_file()
    with pytest.raises(SettingsError, match="holds a sweep already"):
        heliograph.bandwidth(folder, folder=tmp_path / "report", episodes=2, sweep=["erasure=0,0.5"])


@pytest.mark.parametrize("call", [lambda work: work(), in_a_notebook], ids=["script", "notebook"])
def test_an_audit_returns_its_findings(folder: Path, call: Callable[[Callable[[], Any]], Any]) -> None:
    findings = call(lambda: heliograph.audit(folder, episodes=1, steps=4, limit=2))
    assert not findings.refuted
    assert not findings.interrupted
    assert findings.runs


@pytest.mark.parametrize("environment", [SYSTEM, MODULE])
def test_bundles_run_no_code_unless_they_are_allowed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    files = make_hostile_files(tmp_path, environment)
    monkeypatch.chdir(tmp_path)
    for function in (heliograph.evaluate, heliograph.run, heliograph.bandwidth, heliograph.audit):
        with pytest.raises(EnvironmentUntrusted):
            function(tmp_path / "bundles")
    assert not files.canary.exists()


def test_what_is_allowed_by_name_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make_hostile_files(tmp_path, MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "canary_module", None)  # so that it is forgotten afterwards
    monkeypatch.delitem(sys.modules, "canary_module")
    report = heliograph.evaluate(tmp_path / "bundles", episodes=1, allow_environment=MODULE)
    assert report.environment == MODULE
    assert files.canary.exists()


def test_unsigned_bundles_are_not_taken_with_a_trusted_key(folder: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_bytes(bytes(range(32)))
    for function in (heliograph.evaluate, heliograph.run, heliograph.audit, heliograph.load_team):
        with pytest.raises(BundleUntrusted):
            function(folder, trusted_keys=[key])  # type: ignore[operator]


@pytest.mark.parametrize(
    "wrong",
    [{"conditions": ("open",)}, {"conditions": "messages"}, {"conditions": ()}, {"parameters": {"length": object()}}],
    ids=["condition", "word", "none", "parameter"],
)
def test_what_cannot_be_meant_is_refused(folder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        heliograph.evaluate(folder, **wrong)
