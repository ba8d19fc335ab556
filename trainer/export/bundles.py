"""Export: a trained policy and model become one bundle per agent slot, an ONNX step function each."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from heliograph import __version__
from heliograph.bundle import Bundle, make, save_team
from heliograph.codecs import LatentTables
from heliograph.environments.vector import EnvironmentSpec
from heliograph.manifest import Manifest, sha256
from trainer.algorithms.interfaces import Algorithm
from trainer.algorithms.step_function import StepFunction
from trainer.export.own_part import own_part

OPSET = 18


# Seven parameters: each is a line of the manifest, or the function itself.
def export_bundle(
    step: StepFunction,
    *,
    spec: EnvironmentSpec,
    slot: int,
    algorithm: str,
    run_id: str,
    training_step: int,
    tables: LatentTables | None = None,
) -> Bundle:
    """Trace the step function to ONNX and join it with its manifest and the team's tables.

    In a mixed team, of whose rows it is, an agent's bundle is of its own part alone.
    """
    graph = _to_onnx(own_part(step, spec.rows, slot=slot) if spec.mixed else step)
    manifest = Manifest(
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
        state=step.state,
        noise_size=step.noise_size,
        graph_sha256=sha256(graph),
        tables_sha256=None if tables is None else tables.sha256,
        trainer_version=__version__,
        planning_size=step.planning_size,
    )
    return make(manifest, graph, tables)


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

    `check` is called before each slot and may raise; then nothing is written.
    """
    bundles = []
    for slot in range(spec.agents):
        check()
        bundles.append(
            export_bundle(
                algorithm.step_function(slot),
                spec=spec,
                slot=slot,
                algorithm=algorithm.name,
                run_id=run_id,
                training_step=training_step,
                tables=tables,
            )
        )
    if signing_key is not None:
        bundles = [bundle.sign(signing_key) for bundle in bundles]
    return save_team(bundles, target, suffix=suffix)


def _to_onnx(step: StepFunction) -> bytes:
    buffer = io.BytesIO()
    arguments: dict[str, Any] = {
        "input_names": list(step.inputs),
        "output_names": list(step.outputs),
        "opset_version": OPSET,
        "dynamo": True,
        "verbose": False,
        "external_data": False,
    }
    # The exporter logs a page of progress and warns about its own internals; errors still raise.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(step.module.eval(), tuple(step.inputs.values()), **arguments)
        assert program is not None
        _forget_sources(program)
        program.save(buffer)  # type: ignore[arg-type]  # a buffer is as good as a path to it
    return buffer.getvalue()


def _forget_sources(program: torch.onnx.ONNXProgram) -> None:
    """Drop the exporter's notes: paths and lines of this machine's code at every node, four fifths of a small graph."""
    graph = program.model.graph
    values = (value for node in graph for value in node.outputs)
    for noted in (program.model, graph, *graph, *graph.inputs, *graph.initializers.values(), *values):
        noted.metadata_props.clear()
        noted.doc_string = None
