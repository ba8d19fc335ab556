"""The figures of a card, as a dataclass whose fields are the keys of card.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.audit.evidence import HOLDS, NOT_CHECKED
from analysis.card.evaluation import Evaluation
from heliograph.bundle import Bundle
from heliograph.environments.defaults import changed_or_all
from heliograph.estimates import Estimate
from heliograph.figures import UNKNOWN, doubts, written
from heliograph.run_status import RunState

NOT_MEASURED = f"{UNKNOWN}: not measured"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a card says, apart from its words."""

    name: str
    licence: str
    """As hubs name it, such as `apache-2.0`; `unknown` if nobody said."""
    algorithm: str
    environment: str
    parameters: dict[str, Any]
    """Those that differ from what the environment's name stands for."""
    agents: int
    sends_messages: bool
    training_step: int | None
    """Environment steps of the training until these bundles; None: not known, as of those packed without saying it."""
    training_seed: int | None
    """None: not known."""
    run_id: str
    trainer_version: str
    digests: tuple[str, ...]
    """By slot."""
    signed: bool
    signing_key: str | None
    """The public key, in hex; None where it is not known or nobody has signed."""
    run: str
    """Who ran, as "2 processes, mamba in relay"."""
    evaluation_seed: int
    policy: str
    channel: str | None
    late: str | None
    """What stood for late messages: mask, hold or predict; None: not told, or nothing is sent."""
    episodes: int
    measure: str
    """What `score` is: won, arrived, return, …"""
    score: Estimate
    masked_score: Estimate | None
    """With every message masked; None: not measured, or nothing is sent."""
    masked_episodes: int | None
    team_return: Estimate
    blind_bound: float | None
    blind_bound_measured: bool
    bits_per_agent_step: str
    """A number, `at least …`, or `unknown`."""
    bits_per_message: str
    latency_p50_s: float | None
    """Of a step, from the observation on its way to the action."""
    latency_p99_s: float | None
    audit: str
    """holds, refuted, or `not audited`."""
    checks: tuple[tuple[str, str, str], ...]
    """Of the audit: name, verdict, sentence."""
    remarks: tuple[str, ...]
    """What a reader must know besides."""


def has_interval(measure: str, episodes: int | None) -> bool:
    """Whether the interval of a mean says anything: resampling a single episode gives one without width."""
    return measure == "won" or (episodes or 0) > 1


# Seven parameters: what was measured of which bundles, and what these do not say themselves.
def card_of(
    bundles: Sequence[Bundle],
    evaluation: Evaluation,
    *,
    name: str,
    licence: str,
    training_seed: int | None,
    training_state: RunState = RunState.FINISHED,
    signing_key: str | None,
) -> Card:
    """The card of a team, from what was measured of it."""
    manifest = bundles[0].manifest
    summary, cut = evaluation.summaries["open"], evaluation.summaries.get("cut")
    sends = manifest.message is not None
    return Card(
        name=name,
        licence=licence,
        algorithm=manifest.algorithm,
        environment=manifest.environment,
        parameters=changed_or_all(manifest.environment, manifest.environment_parameters),
        agents=manifest.team_size,
        sends_messages=sends,
        # 0 is what packed bundles say by default; of a run of ours it is so before the first step.
        training_step=manifest.training_step if manifest.training_step or training_seed is not None else None,
        training_seed=training_seed,
        run_id=manifest.run_id,
        trainer_version=manifest.trainer_version,
        digests=tuple(bundle.digest for bundle in bundles),
        signed=all(bundle.signature is not None for bundle in bundles),
        signing_key=signing_key,
        run=evaluation.title,
        evaluation_seed=evaluation.seed,
        policy="greedy" if evaluation.greedy else "sampled",
        channel=evaluation.channel,
        late=evaluation.late if sends else None,
        episodes=summary.episodes,
        measure=summary.measure,
        score=summary.outcome,
        masked_score=cut.outcome if cut is not None and sends else None,
        masked_episodes=cut.episodes if cut is not None and sends else None,
        team_return=summary.team_return,
        blind_bound=evaluation.blind_bound,
        blind_bound_measured=evaluation.blind_bound_measured,
        bits_per_agent_step=written(summary, "bits_per_agent_step", "{:.1f}".format) or UNKNOWN,
        bits_per_message=written(summary, "message_bits", "{:.4g}".format) or ("none sent" if sends else "sends none"),
        latency_p50_s=summary.latency_p50_s,
        latency_p99_s=summary.latency_p99_s,
        **_verdict(evaluation),
        remarks=(*_of_training(training_state), *_remarks(evaluation)),
    )


def _verdict(evaluation: Evaluation) -> dict[str, Any]:
    found = evaluation.audit
    if found is None or found.interrupted:
        return {"audit": "not audited", "checks": ()}
    checks = tuple((check.name, check.verdict, check.said) for check in found.checks)
    if found.refuted:
        return {"audit": "refuted", "checks": checks}
    held = sum(verdict == HOLDS for _, verdict, _ in checks)
    left = sum(verdict == NOT_CHECKED for _, verdict, _ in checks)
    return {"audit": f"holds ({held} checks hold, {left} could not be made)", "checks": checks}


def _of_training(state: RunState) -> list[str]:
    """Nothing of one that ended well, or that nobody knows of."""
    if state in (RunState.FINISHED, RunState.ABSENT):
        return []
    return [f"Of a training that is not finished: {state}."]


def _remarks(evaluation: Evaluation) -> list[str]:
    lines = []
    for summary in evaluation.summaries.values():
        lines += [f"{summary.label}: not everything was counted, because {why}." for why in doubts(summary)]
        if summary.absent_episodes != 0:
            count = UNKNOWN if summary.absent_episodes is None else str(summary.absent_episodes)
            lines.append(
                f"{summary.label}: some agent did nothing in {count} episodes; the score is not the whole team's."
            )
        if summary.cut_episodes:
            lines.append(
                f"{summary.label}: {summary.cut_episodes} episodes were cut; they count for what they were then."
            )
    if evaluation.deaths:
        lines.append(f"{evaluation.deaths} nodes died during the evaluation.")
    if evaluation.channel is not None:
        lines.append(f"Measured over a simulated channel: {evaluation.channel}.")
    lines += evaluation.otherwise
    return lines
