"""Files of others that try to run code: bundles, run folders, a preset, a trace, results, a logbook.

What they name is `os:system`, which would be handed a command, or a module of the current folder; either leaves a
canary.  The module is a working environment besides, so that the same files work once they are allowed to.  And where a
checkpoint has its tensors, the run folders have a pickle that leaves the canary as soon as somebody unpickles it.
"""

from __future__ import annotations

import gzip
import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import waiting_game
from relay_team import relay_bundles, relay_plan
from scripted_bundle import save_team, scripted_team

from coordinator.running.local import evaluate
from heliograph import marl_eval
from heliograph.bundle import Bundle
from heliograph.marl_eval import EvaluatedRun, EvaluatedStep
from heliograph.run_status import RunState, RunStatus, write_status
from trainer.training.preset import load_settings

SYSTEM, MODULE = "os:system", "canary_module:make"
SMALL = (
    *("schedule.env_steps=96", "schedule.steps_per_iteration=12", "replay.minimum=48", "replay.capacity=2000"),
    *("evaluation.episodes=8", "evaluation.copies=4", "evaluation.final_episodes=8", "environment.copies=4"),
    *("mamba.model_updates=1", "mamba.model.hidden=16", "mamba.model.recurrent=12"),
)
"""A training that takes a moment."""
AGENTS, ACTIONS, OBSERVATION = 2, 3, 4
"""Of the module's environment."""


@dataclass(frozen=True, kw_only=True)
class HostileFiles:
    """All of them in one folder, which is where commands are started."""

    folder: Path
    environment: str

    @property
    def canary(self) -> Path:
        """There as soon as something has run."""
        return self.folder / "canary"

    @property
    def parameters(self) -> dict[str, Any]:
        return {"command": f"touch {self.canary}"} if self.environment == SYSTEM else {}

    def team(self) -> list[Bundle]:
        return scripted_team(
            team_size=AGENTS,
            actions=ACTIONS,
            observation_size=OBSERVATION,
            environment=self.environment,
            environment_parameters=self.parameters,
        )


def make_hostile_files(folder: Path, environment: str) -> HostileFiles:
    """Write everything but the trace; see `write_trace`."""
    files = HostileFiles(folder=folder, environment=environment)
    source = Path(waiting_game.__file__).read_text()
    future = "from __future__ import annotations\n"
    assert future in source
    touch = f"{future}import pathlib\npathlib.Path({str(files.canary)!r}).touch()\n"
    (folder / "canary_module.py").write_text(source.replace(future, touch))
    save_team(files.team(), folder / "bundles")
    save_team(relay_bundles(2), folder / "harmless")
    for name, team in (("run", files.team()), ("networks", relay_bundles(2)), ("finished", files.team())):
        _write_run(files, folder / name)
        save_team(team, folder / name / "bundles")
    write_status(folder / "finished", RunStatus(state=RunState.FINISHED, env_steps=96))
    preset = ['base = "relay-signal"', *SMALL, f'environment.id = "{environment}"']
    preset += [f"environment.parameters.{name} = {json.dumps(value)}" for name, value in files.parameters.items()]
    (folder / "preset.toml").write_text("\n".join(preset))
    (folder / "campaign.toml").write_text(_campaign(files))
    steps = (EvaluatedStep(step_count=96, metrics={"outcome": (0.5,), "return": (0.5,)}),)
    run = EvaluatedRun(environment=environment, task=environment, algorithm="theirs", run="seed_0", steps=steps)
    marl_eval.write(folder / "results.json", [run])
    header = {"kind": "header", "format": "heliograph-logbook", "version": 1, "environment": environment}
    (folder / "logbook.jsonl").write_text(json.dumps(header | {"parameters": files.parameters}) + "\n")
    audit = {"format": "heliograph-audit", "version": 1, "environment": environment, "bundles": []}
    (folder / "audit.json").write_text(json.dumps(audit))
    (folder / "sweep").mkdir()
    sweep = {"format": "heliograph-sweep", "version": 1, "environment": environment, "parameters": files.parameters}
    (folder / "sweep" / "sweep.json").write_text(json.dumps(sweep))
    return files


def _campaign(files: HostileFiles) -> str:
    lines = ['name = "theirs"', "seeds = [0]", "[methods.theirs]", "[worlds.theirs]", 'preset = "relay-signal"']
    lines.append(f'settings.environment.id = "{files.environment}"')
    given = files.parameters.items()
    lines += [f"settings.environment.parameters.{name} = {json.dumps(value)}" for name, value in given]
    lines += ["[tune]", 'method = "theirs"', 'parameters."mamba.model_updates" = { low = 1, high = 9 }']
    return "\n".join(lines)


def write_trace(files: HostileFiles) -> Path:
    """A trace of a real team, in whose header the world is another."""
    path = files.folder / "trace.jsonl.gz"
    evaluate(relay_plan(2, episodes=4, record=path))
    with gzip.open(path, "rt") as file:
        header, *lines = file.readlines()
    changed = json.loads(header) | {"environment": files.environment, "parameters": files.parameters}
    with gzip.open(path, "wt") as file:
        file.writelines([json.dumps(changed) + "\n", *lines])
    return path


@dataclass(frozen=True)
class _Touch:
    """Leaves the canary when it is unpickled."""

    canary: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def _write_run(files: HostileFiles, path: Path) -> None:
    settings = load_settings("relay-signal", list(SMALL)).model_dump(mode="json")
    settings["environment"] |= {"id": files.environment, "parameters": files.parameters}
    checkpoint = path / "checkpoints" / "00000001"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"version": 2, "env_steps": 96, "param_groups": {}}))
    for name in ("tensors.safetensors", "replay.safetensors"):
        (checkpoint / name).write_bytes(pickle.dumps(_Touch(files.canary)))
    (path / "settings.json").write_text(json.dumps(settings))
    (path / "run.json").write_text(json.dumps({"run_id": "theirs"}))
    evaluated = {"iteration": 1, "env_steps": 96, "evaluate/greedy_outcome": 0.5, "evaluate/greedy_return": 0.5}
    (path / "metrics.jsonl").write_text(json.dumps(evaluated) + "\n")
