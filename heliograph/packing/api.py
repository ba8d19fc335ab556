"""`heliograph.pack`: a team's bundles of policies that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph import __version__
from heliograph.bundle import Bundle, make, save_team
from heliograph.environments.permission import Permission
from heliograph.errors import BundleMismatch, SettingsError
from heliograph.extras import extra
from heliograph.manifest import Manifest, sha256
from heliograph.packing.naming import TensorNames, tensor_names

if TYPE_CHECKING:
    from heliograph.environments.vector import EnvironmentSpec


# As many parameters as the command has options; all but the first four have a default.
def pack(
    policies: str | Path | bytes | Sequence[str | Path | bytes],
    *,
    environment: str,
    names: TensorNames | Mapping[str, Any],
    to: str | Path,
    parameters: Mapping[str, Any] | None = None,
    fixed: Mapping[str, int] | None = None,
    algorithm: str = "packed",
    run_id: str | None = None,
    training_step: int = 0,
    signing_key: bytes | None = None,
    tar: bool = False,
) -> list[Path]:
    """Wrap ONNX policies into bundles, one per agent, that run as processes like those of a training.

    Each is wrapped with the action mask, sampling by the run's noise, the reset at first steps and its manifest, and
    compared with the graph that was given on random inputs; only if all agree to 1e-6 is anything written.

    Args:
        policies: A graph that all agents share, or one per slot: paths, or bytes as of `heliograph.onnx_of`.
        environment: An id of `heliograph environments`, or an import path, which is imported.
        names: Which of the graph's tensors mean what: `observation`, `logits` or `mean` and `deviation`; where there
            are any `state`, a mapping of inputs to outputs, and `mask`; and `append_id`.  As the command's options.
            Of a policy that talks also `message`, a mapping with `output`, `inbox`, and what else `MessageNames` has.
        to: The folder for `agent-0`, `agent-1`, ...
        parameters: Of the environment.
        fixed: Sizes for dimensions that a graph leaves open, by their names, such as `{"batch": 1}`.
        algorithm: What trained them, for people.
        run_id: Names the team; by default the digest of its graphs.
        training_step: Environment steps seen in training.
        signing_key: A raw ed25519 private key.
        tar: Write files `agent-0.tar` instead of folders.

    Returns:
        The bundles' paths.

    Raises:
        MissingExtra: The package onnx is not installed.
        BundleCorrupt: A file is no ONNX graph, or one of which no step function can be made.
        BundleMismatch: Names or sizes are not those of the graph or the environment.
        SettingsError: The environment's parameters, or the number of graphs, are wrong.
    """
    from heliograph.environments import registry

    told = names if isinstance(names, TensorNames) else tensor_names(names)
    permission = Permission.of_user([environment]).also_given(parameters or {})
    made = registry.make(environment, count=1, parameters=parameters, permission=permission)
    try:
        spec = made.spec
    finally:
        made.close()
    with extra("pack", packages=("onnx",), purpose="packing a policy"):
        import onnx  # noqa: F401

    given = [policies] if isinstance(policies, str | Path | bytes) else list(policies)
    if len(given) not in (1, spec.agents):
        raise SettingsError(
            f"{len(given)} policies do not make a team of {spec.agents}", remedy="Name one for all, or one per slot"
        )
    team = packed(
        given * (spec.agents if len(given) == 1 else 1),
        spec,
        told,
        fixed=fixed or {},
        algorithm=algorithm,
        run_id=run_id,
        training_step=training_step,
    )
    if signing_key is not None:
        team = [bundle.sign(signing_key) for bundle in team]
    return save_team(team, Path(to), suffix=".tar" if tar else "")


# Seven parameters: the graphs and what they are, and what a manifest tells of where they come from.
def packed(
    policies: Sequence[str | Path | bytes],
    spec: EnvironmentSpec,
    names: TensorNames,
    *,
    fixed: Mapping[str, int],
    algorithm: str,
    run_id: str | None,
    training_step: int,
) -> list[Bundle]:
    """The bundles of a team, of one graph per slot.  Raises as `pack`."""
    from heliograph.graph import check_graph
    from heliograph.packing.acting import noise_size
    from heliograph.packing.comparison import check_alike
    from heliograph.packing.foreign_graph import fix_dimensions, open_dimensions, parsed, read_foreign, sizes
    from heliograph.packing.messages import action_rows, message_format
    from heliograph.packing.wrapping import check_sizes, wrapped

    sources = [policy if isinstance(policy, bytes) else read_foreign(Path(policy)) for policy in policies]
    team_id = run_id or f"packed-{sha256(b''.join(sha256(source).encode() for source in sources))[:12]}"
    bundles, named = [], set[str]()
    for slot, (policy, source) in enumerate(zip(policies, sources, strict=True)):
        origin = "the graph" if isinstance(policy, bytes) else str(policy)
        foreign = parsed(source, names, origin=origin)
        named |= open_dimensions(foreign)
        fix_dimensions(foreign, fixed, origin=origin)
        check_sizes(foreign, names, spec, slot=slot, origin=origin)
        own, states = wrapped(foreign, names, spec, slot=slot)
        graph = own.SerializeToString(deterministic=True)
        check_graph(graph)
        check_alike(foreign, own, names, spec, slot=slot)
        actions = spec.action_space(slot)
        message, values, rows = None, None, action_rows(spec)
        if names.message is not None:
            message = message_format(names.message, {value.name: sizes(value) for value in foreign.graph.input}, spec)
            values = names.message.values
        try:
            manifest = Manifest(
                algorithm=algorithm,
                environment=spec.id,
                environment_parameters=spec.parameters,
                run_id=team_id,
                training_step=training_step,
                team_size=spec.agents,
                slot=slot,
                observation_size=spec.observation_size,
                actions=actions,
                team_actions=rows.spaces if message is not None and rows.mixed else None,
                message=message,
                message_values=values,
                state=states,
                noise_size=noise_size(actions),
                graph_sha256=sha256(graph),
                trainer_version=__version__,
            )
        except ValueError as error:
            raise BundleMismatch(f"no bundle can be made of {origin}: {error}") from None
        bundles.append(make(manifest, graph))
    for name in fixed:
        if name not in named:
            raise BundleMismatch(
                f"no graph leaves a dimension {name!r} open",
                remedy=f"Those that are: {', '.join(sorted(named)) or 'none'}",
            )
    return bundles
