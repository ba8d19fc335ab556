"""report.json: everything that a measurement found, as dataclasses whose fields are its keys.

Terminal, page, plots and CSV are made from these alone, so a report that is read back shows what it showed before.
Sizes are None where nothing was measured or nothing was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from analysis.audit.document import AuditDocument
from analysis.bandwidth.cell import CellScores
from analysis.bandwidth.information import EntropyDocument
from analysis.bandwidth.language.document import LanguageDocument
from coordinator.serving.conservation import LinkBalance
from heliograph.estimates import Estimate


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """The measured run."""

    title: str
    agents: int
    measure: str
    """What `score` measures: won, arrived or return."""
    score: Estimate
    team_return: Estimate
    episodes: int
    steps: int
    seconds: float
    messages: int
    """Each counted once per listener, as all messages and bits below."""
    messages_per_agent_step: float
    bits_per_agent_step: float
    blind_bound: float | None
    """The most that any team without messages can reach, where it is known, or the most that one was found to reach."""
    blind_bound_measured: bool = False
    """See `EnvironmentSpec.blind_bound_measured`."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Bytes of a message at one layer, with all that the layers inside it take."""

    name: str
    how: str
    """measured, computed or not measured."""
    bytes_per_message: float | None
    bytes_per_agent_step: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class LinkCosts(LinkBalance):
    """A directed link: what its two ends counted, and the bytes on the wire where they were measured."""

    http2_bytes: int | None
    ip_bytes: int | None


@dataclass(frozen=True, kw_only=True)
class CodecCost:
    """The same messages, written with one codec."""

    codec: str
    lossless: bool
    bits_per_message: float | None
    protobuf_bytes_per_message: float | None


@dataclass(frozen=True, kw_only=True)
class Design:
    """What another design would have sent on the same episodes: payload alone."""

    name: str
    note: str
    """Formula of its bits."""
    how: str
    bits_per_agent_step: float
    bytes_per_agent_step: float
    ratio: float | None
    """Of the bits of the bit-packed latents; None where no latent was sent."""


@dataclass(frozen=True, kw_only=True)
class Estimated:
    """A number over all runs, and its 95 % interval where there are several."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A point of a curve over all runs."""

    value: str
    """On the curve's axis; empty for the clear channel and the cut links."""
    score: float
    """Interquartile mean over runs; of a single run its mean."""
    low: float | None
    high: float | None
    """Of its 95 % interval, over runs, or over the episodes of a single run."""
    sent_bits: float
    read_bits: float
    """Per agent and step, mean over runs; see `CellScores`."""
    runs: tuple[float, ...]
    """Each run's score."""
    beta: float | None = None
    """Its sent bits as a share of a whole exchange (`analysis.bandwidth.budget`)."""
    masked: float | None = None
    """Of a team among several, its score with every message masked, taken together like `score`."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One axis of the grid, with one codec and one late policy."""

    axis: str
    codec: str
    late: str
    label: str
    points: tuple[CurvePoint, ...]
    area: Estimated | None = None
    """Under the best score at no more than beta (`analysis.bandwidth.budget`); None where no point saves bits, as
    losses do not."""


@dataclass(frozen=True, kw_only=True)
class CellCount:
    """Cells of a sweep."""

    finished: int
    all: int


@dataclass(frozen=True, kw_only=True)
class FailedCell:
    """A cell without a result."""

    cell: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _CellSetting:
    run: str
    seed: int
    channel: str
    codec: str
    late: int
    """As `late_messages`, under the name of the versions that had no other."""
    links: str
    late_policy: str = ""
    """mask or hold; empty in the reports of those versions."""


@dataclass(frozen=True, kw_only=True)
class FinishedCell(CellScores, _CellSetting):
    """A cell and its result.  The columns of cells.csv are its fields: name and setting, then the result."""

    late_messages: int | None = None
    """Delayed in the simulated channel beyond their step; None in the reports of versions that called it `late`."""


@dataclass(frozen=True, kw_only=True)
class SweepDocument:
    """The curves and cells of a sweep, and how to read them."""

    measure: str | None
    """None where no cell is finished."""
    episodes: int
    """Of each cell."""
    over: str
    statistic: str
    bands: str
    """How scores were taken together, as parts of sentences."""
    blind_bound: float | None
    blind_bound_measured: bool = False
    clear_level: float | None
    """Score on the channel as it is."""
    blind_level: float | None
    """Score with every message masked."""
    permuted_level: float | None = None
    """Score with the messages of another episode; None where that was not asked for."""
    curves: tuple[Curve, ...]
    whole_exchange_bits: float | None = None
    """Bits per agent and step where beta is 1; None for a team of one."""
    cells: CellCount
    failed: tuple[FailedCell, ...]
    played: tuple[FinishedCell, ...]


@dataclass(frozen=True, kw_only=True)
class BandwidthReport:
    """The whole report."""

    summary: RunSummary
    layers: tuple[Layer, ...]
    """From the information outwards."""
    links: tuple[LinkCosts, ...]
    conservation: tuple[str, ...]
    """What the ends of the links agreed on, in sentences."""
    information: EntropyDocument | None
    """None for a team that sent no messages."""
    codecs: tuple[CodecCost, ...]
    alternatives: tuple[Design, ...]
    remarks: tuple[str, ...]
    settings: Mapping[str, Any]
    """What was run, in values that JSON keeps; for people."""
    versions: Mapping[str, str]
    sweep: SweepDocument | None = None
    language: LanguageDocument | None = None
    influence: AuditDocument | None = None
    """Of an audit."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
