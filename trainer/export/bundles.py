"""Export: a trained policy and model become one bundle per agent slot, an ONNX step function each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heliograph import __version__
from heliograph.bundle import Bundle, make, save_team
from heliograph.codecs import LatentTables
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import (
    FORMAT_VERSION,
    HOLDING_VERSION,
    PREDICTING_VERSION,
    PREFIX_VERSION,
    SENDING_VERSION,
    Manifest,
    sha256,
)
from trainer.algorithms.interfaces import Algorithm
from trainer.algorithms.step_function import StepFunction
from trainer.export.own_part import own_part
from trainer.export.tracing import TRACES, traced_team


# Eight parameters: each is a line of the manifest, or the function itself.
def export_bundle(
    step: StepFunction,
    *,
    spec: EnvironmentSpec,
    slot: int,
    algorithm: str,
    run_id: str,
    training_step: int,
    tables: LatentTables | None = None,
    graph: bytes | None = None,
) -> Bundle:
    """Trace the step function to ONNX, unless its graph is there, and join it with its manifest and the team's tables.

    In a mixed team, of whose rows it is, an agent's bundle is of its own part alone.
    """
    if graph is None:
        graph = TRACES.graph(_exported(step, spec, slot=slot))
    manifest = Manifest(
        format_version=_format_version(step),
        algorithm=algorithm,
        environment=spec.id,
        environment_parameters=spec.parameters,
        run_id=run_id,
        training_step=training_step,
        team_size=spec.agents,
        slot=slot,
        observation_size=spec.observation_size,
        actions=spec.action_space(slot),
        team_actions=spec.mixed if spec.mixed and step.message is not None else None,
        message=step.message,
        sending=step.sending,
        predicts=step.predicts,
        holds=step.holds,
        state=step.state,
        noise_size=step.noise_size,
        graph_sha256=sha256(graph),
        tables_sha256=None if tables is None else tables.sha256,
        trainer_version=__version__,
        planning_size=step.planning_size,
    )
    return make(manifest, graph, tables)


def _format_version(step: StepFunction) -> int:
    if step.holds:
        return HOLDING_VERSION
    if step.predicts is not None:
        return PREDICTING_VERSION
    if step.message is not None and step.message.prefix:
        return PREFIX_VERSION
    return FORMAT_VERSION if step.sending is None else SENDING_VERSION


# Nine parameters: what is exported, what its manifests say, and how it is written; five have a default.
def export_team(
    algorithm: Algorithm,
    spec: EnvironmentSpec,
    target: Path,
    *,
    run_id: str,
    training_step: int,
    tables: LatentTables | None = None,
    suffix: str = "",
    signing_key: bytes | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Write one bundle per slot to `target`, as directories or with suffix ".tar", all at once; their paths.

    `check` is called before each graph is traced and may raise; then nothing is written.
    """
    steps = [algorithm.step_function(slot) for slot in range(spec.agents)]
    graphs = traced_team([_exported(step, spec, slot=slot) for slot, step in enumerate(steps)], check=check)
    bundles = [
        export_bundle(
            step,
            spec=spec,
            slot=slot,
            algorithm=algorithm.name,
            run_id=run_id,
            training_step=training_step,
            tables=tables,
            graph=graph,
        )
        for slot, (step, graph) in enumerate(zip(steps, graphs, strict=True))
    ]
    if signing_key is not None:
        bundles = [bundle.sign(signing_key) for bundle in bundles]
    return save_team(bundles, target, suffix=suffix)


def _exported(step: StepFunction, spec: EnvironmentSpec, *, slot: int) -> StepFunction:
    return own_part(step, spec.rows, slot=slot) if spec.mixed else step
