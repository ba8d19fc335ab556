"""One measured run: the team played as processes, or in one, recorded as a trace, and all that follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from platform import platform, python_version
from typing import Any

from analysis.bandwidth.alternatives import Alternative, alternatives
from analysis.bandwidth.exact import exact
from analysis.bandwidth.information import Information, information
from analysis.bandwidth.recost import recost
from analysis.bandwidth.report.document import BandwidthReport, CodecCost, Design, Layer, LinkCosts, RunSummary
from analysis.bandwidth.report.formatting import COMPUTED, MEASURED
from coordinator.links.link_plan import LinkPlan
from coordinator.plan.options import identity
from coordinator.plan.plan import Plan
from coordinator.recording.reader import Trace, read_trace
from coordinator.running.distributed import run_processes
from coordinator.running.launch_settings import LaunchSettings
from coordinator.running.local import evaluate
from coordinator.running.report import Report
from coordinator.serving.cuts import in_words
from heliograph import __version__
from heliograph.codecs.registry import BIT_PACKED, ENTROPY, MOST_INFORMATIVE, REPEATS
from heliograph.errors import NodeFailed
from heliograph.figures import doubts

TRACE = "trace.jsonl.gz"
WIRE_LAYERS = ("codec", "protobuf", "http2", "ip")
LAYER_NAMES = {
    "codec": "codec",
    "protobuf": "protobuf",
    "http2": "gRPC / HTTP/2",
    "ip": "IP",
}
PACKAGES = ("numpy", "onnxruntime", "grpcio", "protobuf")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was played, and its trace."""

    plan: Plan
    report: Report
    trace: Trace


def measure(plan: Plan, *, links: LinkPlan | None) -> Measured:
    """Play a plan that records: as processes over counted links, or, without any, in one process.

    Raises NodeFailed if a node dies meanwhile, KeyboardInterrupt after Ctrl-C, MessageError if counts differ that must
    be equal.
    """
    assert plan.record is not None
    # A team without messages has nothing that a link could count.
    counted = None if plan.manifest.message is None else links
    if links is None:
        report = evaluate(plan)
    else:
        report = run_processes(plan, LaunchSettings(links=counted, transport=links.transport))
    if report.interrupted:
        raise KeyboardInterrupt
    if report.endings:
        raise NodeFailed(
            f"the measured run is not whole: {'; '.join(map(str, report.endings))}", remedy="Measure again"
        )
    unsure = [why for summary in report.summaries for why in doubts(summary)]
    if unsure:
        raise NodeFailed(f"the measured run is not whole: {'; '.join(unsure)}", remedy="Measure again")
    return Measured(plan=plan, report=report, trace=read_trace(plan.record))


def report_of(measured: Measured, links: LinkPlan | None) -> BandwidthReport:
    """The report of what was measured; sweep, language and influence are added by who finds them."""
    report, trace = measured.report, measured.trace
    (summary,) = report.summaries
    content = information(trace)
    agent_steps = summary.counted_steps * report.agents
    return BandwidthReport(
        summary=RunSummary(
            title=report.title,
            agents=report.agents,
            measure=summary.measure,
            score=summary.outcome,
            team_return=summary.team_return,
            episodes=summary.episodes,
            steps=summary.steps,
            seconds=summary.seconds,
            messages=exact(summary.messages),
            messages_per_agent_step=exact(summary.messages) / agent_steps,
            bits_per_agent_step=exact(summary.bits_per_agent_step),
            blind_bound=report.blind_bound,
            blind_bound_measured=report.blind_bound_measured,
        ),
        layers=tuple(_layers(measured, content)),
        links=tuple(_links(report)),
        conservation=tuple(_conservation(report)),
        information=None if content is None else content.document(),
        codecs=tuple(_codecs(measured)),
        alternatives=tuple(_designs(measured, content)),
        remarks=tuple(_remarks(report)),
        settings=settings_of(measured.plan, links),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Of what took part in the measuring."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"heliograph": __version__, "python": python_version(), "system": platform(), **found}


def _layers(measured: Measured, content: Information | None) -> Iterator[Layer]:
    """From the information outwards."""
    if measured.plan.manifest.message is None:
        note = f"{measured.plan.manifest.algorithm} sends no messages at execution"
        yield Layer(name="codec", how=MEASURED, bytes_per_message=None, bytes_per_agent_step=0.0, note=note)
        return
    wire, (summary,) = measured.report.wire, measured.report.summaries
    per_agent_step = exact(summary.messages) / (summary.counted_steps * measured.report.agents)

    def row(name: str, how: str, size: float | None, note: str) -> Layer:
        per_step = None if size is None else size * per_agent_step
        return Layer(name=name, how=how, bytes_per_message=size, bytes_per_agent_step=per_step, note=note)

    if content is not None:
        note = (
            f"{content.message_bits:.1f} of {content.ceiling_bits} bits: empirical entropy of the messages, see below"
        )
        yield row("information", COMPUTED, content.message_bits / 8, note)
    if wire is None:
        (found,) = recost(measured.trace, [measured.plan.codec])
        for layer in WIRE_LAYERS:
            bits = found.bits_per_message(layer)
            note = "from the recorded messages; in one process nothing is sent over a network"
            yield row(LAYER_NAMES[layer], COMPUTED, None if bits is None else bits / 8, note)
        return
    for layer in WIRE_LAYERS:
        known = wire.layers[layer]
        latent = wire.bytes_per_message("latent") if layer == "codec" else None
        padding = "" if latent is None else f"{8 * latent:.1f} bits before padding; "
        yield row(LAYER_NAMES[layer], known.label, wire.bytes_per_message(layer), padding + known.source)


def _codecs(measured: Measured) -> Iterator[CodecCost]:
    """What each codec would have made of the same messages; nothing where the team's algorithm sends none."""
    message, tables = measured.plan.manifest.message, measured.plan.bundles[0].tables
    if message is None:
        return
    specs = [BIT_PACKED, measured.plan.codec]
    if tables is not None:
        specs.append(ENTROPY)
    if not message.prefix:
        specs.append(REPEATS)
        if tables is not None:
            halves = (message.categoricals >> power for power in range(1, message.categoricals.bit_length()))
            specs += [f"{MOST_INFORMATIVE}:{kept}" for kept in halves]
    for found in recost(measured.trace, dict.fromkeys(specs), tables=tables):
        protobuf = found.bits_per_message("protobuf")
        yield CodecCost(
            codec=found.spec,
            lossless=found.lossless,
            bits_per_message=found.bits_per_message("codec"),
            protobuf_bytes_per_message=None if protobuf is None else protobuf / 8,
        )


def _designs(measured: Measured, content: Information | None) -> Iterator[Design]:
    """Of a team that talks, only where something was said."""
    manifest, trace = measured.plan.manifest, measured.trace
    if any(episode.pass_name == "open" for episode in trace.episodes) and (content or manifest.message is None):
        yield from map(_design, alternatives(trace, planning_size=manifest.planning_size))


def _design(found: Alternative) -> Design:
    return Design(
        name=found.name,
        note=found.formula,
        how=found.how,
        bits_per_agent_step=found.bits_per_agent_step,
        bytes_per_agent_step=found.bits_per_agent_step / 8,
        ratio=found.ratio if math.isfinite(found.ratio) else None,
    )


def _links(report: Report) -> Iterator[LinkCosts]:
    rows = {} if report.wire is None else {(row.sender, row.receiver): row for row in report.wire.links}
    for balance in report.links or ():
        row = rows.get((balance.sender, balance.receiver))
        yield LinkCosts(
            **vars(balance),
            http2_bytes=None if row is None else row.http2_bytes,
            ip_bytes=None if row is None else row.ip_bytes,
        )


def _conservation(report: Report) -> list[str]:
    """What the ends of the links agreed on."""
    links = report.links or ()
    unknown = sum(link.missing is None for link in links)
    if unknown:
        sentences = [f"An end of {unknown} of {len(links)} links is gone, and its counts with it."]
    else:
        names = ("sent", "delivered", "late", "rejected", "lost", "missing")
        sums = {name: sum(getattr(link, name) for link in links) for name in names}
        sentences = [
            "{links} of {links} links conserve; all together: sent {sent:,} = delivered {delivered:,} + late {late:,} "
            "+ rejected {rejected:,} + lost in the simulated channel {lost:,} + missing {missing:,}.".format(
                links=len(links), **sums
            )
        ]
    return sentences + ([] if report.wire is None else list(report.wire.conservation))


def _remarks(report: Report) -> Iterator[str]:
    """What a reader must know besides."""
    if report.cuts:
        yield in_words(report.cuts)
    if report.lost_episodes:
        yield f"{report.lost_episodes} episodes discarded after simulator crashes."
    if report.stale_acts:
        yield f"{report.stale_acts} missed action deadlines."


def settings_of(plan: Plan, links: LinkPlan | None) -> dict[str, Any]:
    """What was played, in values that JSON keeps."""
    return {
        "team": "one process" if links is None else f"{len(plan.bundles)} processes",
        "links": None if links is None else asdict(links),
        "environment": plan.environment,
        "parameters": plan.parameters,
        "algorithm": plan.manifest.algorithm,
        "episodes": plan.episodes,
        "seed": plan.run_seed,
        "policy": "greedy" if plan.greedy else "sampled",
        "codec": plan.codec,
        "channel": str(plan.channel or "") or "nothing lost",
        "late messages": plan.late_policy,
        "pace": asdict(plan.pace),
        "bundles": [bundle.digest[:12] for bundle in plan.bundles],
        **identity(plan, without=("episodes", "seed", "greedy", "passes", "codec", "channel", "late")),
    }
