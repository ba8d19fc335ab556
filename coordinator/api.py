"""The coordinator's part of the public surface: `heliograph.evaluate` and `heliograph.run`.

Both play the episodes of a trained team and return a `Report`.  A bundle runs no code and names none: an environment
that is not of the catalogue is imported only if the caller allows it, or a trusted key has signed the bundles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.channel import Channel
from coordinator.plan.pace import Pace
from coordinator.plan.plan import Plan, make_plan
from coordinator.plan.settings import PERMUTED
from coordinator.plan.trust import Trust
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate as evaluate_plan
from coordinator.running.report import Report
from coordinator.serving.team_certificates import temporary
from heliograph.environments.permission import Permission
from heliograph.errors import SettingsError
from heliograph.event_loops import beside_a_running_loop
from heliograph.transports import DEFAULT_TRANSPORT

PASSES = {"messages": "open", "no-messages": "cut", "permuted-messages": PERMUTED}
"""The conditions under which episodes are run, and what a plan calls them."""


# As many parameters as the command has options that matter from Python: names and defaults are those of RunSettings.
def evaluate(
    path: str | Path,
    *,
    episodes: int = 100,
    seed: int = 0,
    greedy: bool = True,
    conditions: Sequence[str] = ("messages",),
    parameters: Mapping[str, Any] | None = None,
    codec: str = "bit-packed",
    channel: str | None = None,
    late: str = "trained",
    most_steps: int = 10_000,
    record: str | Path | None = None,
    frames: str | Path | None = None,
    jobs: int = 1,
    allow_environment: str | None = None,
    allow_parameters: Mapping[str, Any] | None = None,
    trusted_keys: Sequence[str | Path] = (),
) -> Report:
    """Run a team's episodes in this process and report the outcome, as `heliograph evaluate` does.

    The agents still know only their own observations and the messages that reach them: the same episodes as with
    `heliograph.run`, bit for bit, and quicker.

    Args:
        path: A run folder, or a folder of bundles.
        episodes: Of each condition.
        seed: Of the run; worlds and the agents' noise follow from it.
        greedy: The most likely latents and actions; otherwise sampled ones.
        conditions: `"messages"`, `"no-messages"` (every message masked), `"permuted-messages"` (those of the same
            sender and step of another episode), or several; a summary of the report for each, in this order.
        parameters: Changed parameters of the environment.
        codec: How latents are written: `bit-packed`, `entropy`, `repeats`, `most-informative:M`.
        channel: Simulated faults of the links, such as `"erasure=0.3"`, as `heliograph evaluate --channel` reads them.
        late: Treat a late message as missing (`mask`), reuse the last one received (`hold`), or put what its receiver
            predicts from that in its place (`predict`); `trained`: as the bundles say that the team was trained.
        most_steps: Steps after which an episode is cut that its environment has not ended.
        record: A file for every step, `.jsonl` or `.jsonl.gz`.
        frames: Drawings of the first episode of each condition: an animated `.gif`, or a folder of PNG files.
        jobs: Processes that run episodes side by side.
        allow_environment: Import path of the environment, if it is code that the bundles name and you trust.
        allow_parameters: Texts that the bundles may give it, such as a path.
        trusted_keys: Files of public keys, of which one must have signed the bundles.

    Returns:
        The report: `report.summaries[0].outcome` has `mean`, `low` and `high` of a 95 % interval, and
            `report.as_dict()` is what `--json` writes.  After Ctrl-C it is of the completed episodes only, and
            `report.interrupted` is true; `report.undrawn` says why `frames` are not there, or not all.

    Raises:
        BundleError: There are no bundles, or not of one team.
        EnvironmentUntrusted: The bundles name code, or a text, that nobody has allowed.
        MissingExtra: The environment's simulator is not installed.
        SettingsError: An argument is out of range.
    """
    plan = plan_of(
        path,
        trust=trust_of(allow_environment, allow_parameters, trusted_keys),
        parameters=parameters,
        episodes=episodes,
        run_seed=seed,
        greedy=greedy,
        conditions=_conditions(conditions),
        codec=codec,
        channel=None if channel is None else Channel.parse(channel),
        late_policy=late,
        most_steps=most_steps,
        record=None if record is None else Path(record),
        frames=None if frames is None else Path(frames),
    )
    return evaluate_plan(plan, jobs=jobs)


# As many parameters as the command has options that matter from Python: names and defaults are those of RunSettings.
def run(
    path: str | Path,
    *,
    episodes: int = 100,
    seed: int = 0,
    greedy: bool = True,
    conditions: Sequence[str] = ("messages",),
    parameters: Mapping[str, Any] | None = None,
    codec: str = "bit-packed",
    channel: str | None = None,
    late: str = "trained",
    most_steps: int = 10_000,
    record: str | Path | None = None,
    message_deadline_s: float = 1.0,
    action_deadline_s: float = 5.0,
    period_s: float | None = None,
    tls: bool = False,
    restarts: int = 0,
    log_folder: str | Path | None = None,
    transport: str = DEFAULT_TRANSPORT,
    allow_environment: str | None = None,
    allow_parameters: Mapping[str, Any] | None = None,
    trusted_keys: Sequence[str | Path] = (),
) -> Report:
    """Run a team as one process per agent over gRPC on this machine, as `heliograph run` does.

    It may be called from a script, a thread or a notebook; where an event loop runs already it works in a thread of its
    own.

    Args:
        path: A run folder, or a folder of bundles.
        episodes: As for `heliograph.evaluate`, and so the parameters up to `record`.
        seed: Of the run; worlds and the agents' noise follow from it.
        greedy: The most likely latents and actions; otherwise sampled ones.
        conditions: `"messages"`, `"no-messages"`, or both.
        parameters: Changed parameters of the environment.
        codec: How latents are written.
        channel: Simulated faults of the links.
        late: Treat a late message as missing (`mask`), reuse the last one received (`hold`), or put what its receiver
            predicts from that in its place (`predict`); `trained`: as the bundles say that the team was trained.
        most_steps: Steps after which an episode is cut that its environment has not ended.
        record: A file for every step.
        message_deadline_s: Seconds that a node waits for the messages of a step.
        action_deadline_s: Seconds that the world waits for a node's action.
        period_s: Seconds between steps; None: the next one starts when the one before is done.
        tls: Mutual TLS, with certificates that are made for this run alone.
        restarts: How often each node that dies is started again.
        log_folder: Where the nodes' logs are kept; None: only if a node failed.
        transport: What carries messages between the nodes, `grpcio` or `lean`.
        allow_environment: Import path of the environment, if it is code that the bundles name and you trust.
        allow_parameters: Texts that the bundles may give it, such as a path.
        trusted_keys: Files of public keys, of which one must have signed the bundles.

    Returns:
        The report, which beside what `heliograph.evaluate` tells has the counters of both ends of every link
            (`links`), and the nodes that died (`endings`).

    Raises:
        NodeFailed: Nodes did not come up, or all of them died.
        BundleError: There are no bundles, or not of one team.
        EnvironmentUntrusted: The bundles name code, or a text, that nobody has allowed.
        MissingExtra: The environment's simulator is not installed.
        SettingsError: An argument is out of range.
    """
    keys = [Path(key) for key in trusted_keys]
    plan = plan_of(
        path,
        trust=trust_of(allow_environment, allow_parameters, keys),
        parameters=parameters,
        episodes=episodes,
        run_seed=seed,
        greedy=greedy,
        conditions=_conditions(conditions),
        codec=codec,
        channel=None if channel is None else Channel.parse(channel),
        late_policy=late,
        most_steps=most_steps,
        record=None if record is None else Path(record),
        pace=Pace(message_deadline_s=message_deadline_s, action_deadline_s=action_deadline_s, period_s=period_s),
    )
    options = tuple(word for key in keys for word in ("--trusted-key", str(key)))
    launch = LaunchSettings(
        restarts=restarts,
        log_folder=None if log_folder is None else Path(log_folder),
        transport=transport,
        node_options=lambda slot: options,
    )
    with ExitStack() as stack:
        if tls:
            launch = replace(launch, certificates=stack.enter_context(temporary(len(plan.bundles))))
        return beside_a_running_loop(lambda: run_processes(plan, launch))


def trust_of(environment: str | None, parameters: Mapping[str, Any] | None, keys: Sequence[str | Path]) -> Trust:
    """Whom a caller trusts: an import path and texts by name, and whoever signs with one of the keys."""
    user = Permission(
        environments=frozenset([] if environment is None else [environment]), parameters=dict(parameters or {})
    )
    return Trust(user=user, keys=tuple(Path(key) for key in keys))


def plan_of(path: str | Path, *, trust: Trust, parameters: Mapping[str, Any] | None, **fields: Any) -> Plan:
    """The checked plan for the bundles in a folder, or in a run folder; `fields` are those of Plan."""
    bundles, permission = trust.team(Path(path))
    return make_plan(bundles, permission=permission, overrides=list(overrides_of(parameters or {})), **fields)


def overrides_of(parameters: Mapping[str, Any], *, within: str = "") -> Iterator[str]:
    """Parameters as the `key=value` texts that commands take.  Raises SettingsError for what none can say."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from overrides_of(value, within=f"{within}{name}.")
            continue
        try:
            yield f"{within}{name}={json.dumps(value, ensure_ascii=False)}"
        except TypeError:
            raise SettingsError(f"parameter {within}{name} cannot be {value!r}") from None


def _conditions(conditions: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in conditions if name not in PASSES]
    if isinstance(conditions, str) or unknown or not conditions:
        raise SettingsError(
            f"conditions are a sequence of {' and '.join(map(repr, PASSES))}, not {conditions!r}",
        )
    return tuple(PASSES[name] for name in conditions)
