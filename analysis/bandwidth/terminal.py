"""The report in the terminal, made from its document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from analysis.bandwidth.wording import COUNTS, SCORES, interval, number
from coordinator.running.report import output_console

Document = Mapping[str, Any]


def print_document(document: Document) -> None:
    """Tables to stdout: bytes by layer, links, what is said, alternatives, the sweep; then what to know besides."""
    found = document["summary"]
    score = SCORES[found["measure"]]
    bound = "" if found["blind_bound"] is None else f"; without messages at most {number(found['blind_bound'])}"
    print_line(f"{found['title']}, {found['episodes']} episodes: {score} {interval(found['score'])}{bound}")
    print_table(
        "bytes by layer",
        ("layer", "", "bytes per message", "per agent and step", ""),
        (
            (
                row["name"],
                row["how"],
                number(row["bytes_per_message"]),
                number(row["bytes_per_agent_step"]),
                row["note"],
            )
            for row in document["layers"]
        ),
        right=(2, 3),
    )
    if document["links"]:
        print_table(
            "links",
            ("link", *COUNTS.values()),
            (
                (f"{row['sender']} → {row['receiver']}", *(_count(row[name]) for name in COUNTS))
                for row in document["links"]
            ),
            right=range(1, 1 + len(COUNTS)),
        )
        for sentence in document["conservation"]:
            print_line(f"- {sentence}")
    said = document["information"]
    if said is not None:
        given = said["message_bits_given_previous"]
        rows = [
            ("ceiling", number(said["ceiling_bits"])),
            ("entropy of a message", number(said["message_bits"])),
            ("given the sender's previous message", number(given)),
        ]
        print_table("bits that a message says", ("", "bits"), rows, right=(1,))
        print_line(f"- {said['estimator']}")
    if document["codecs"]:
        print_table(
            "what codecs make of the same messages",
            ("codec", "", "bits per message", "protobuf bytes per message"),
            (
                (
                    *(each["codec"], "lossless" if each["lossless"] else "lossy"),
                    *(number(each["bits_per_message"]), number(each["protobuf_bytes_per_message"])),
                )
                for each in document["codecs"]
            ),
            right=(2, 3),
        )
    if document["language"] is not None:
        print_language(document["language"])
    if document["alternatives"]:
        print_table(
            "what others would have sent, computed on the same episodes",
            ("design", "bytes per agent and step", "of bit-packed latents"),
            (
                (row["name"], number(row["bytes_per_agent_step"]), f"{row['ratio']:,.3g} times")
                for row in document["alternatives"]
            ),
            right=(1, 2),
        )
    if document["sweep"] is not None:
        print_sweep(document["sweep"], score=score)
    for remark in document["remarks"]:
        print_line(f"- {remark}")


def print_language(found: Mapping[str, Any]) -> None:
    """What was read out of the messages, in sentences."""
    for sentence in found["sentences"]:
        print_line(f"- {sentence}")


def print_sweep(swept: Mapping[str, Any], *, score: str) -> None:
    """The points of all curves, and the cells that failed; `score` is what was measured."""
    print_table(
        f"sweep: {swept['episodes']} episodes each, {swept['over']}",
        ("curve", "value", "sent bits", "read bits", f"{score} [95 %]", "runs"),
        (
            (
                *(curve["label"], point["value"], number(point["sent_bits"]), number(point["read_bits"])),
                interval({"mean": point["score"], "low": point["low"], "high": point["high"]}),
                str(len(point["runs"])),
            )
            for curve in swept["curves"]
            for point in curve["points"]
        ),
        right=range(1, 6),
    )
    cells = swept["cells"]
    if cells["finished"] < cells["all"]:
        print_line(f"{cells['finished']} of {cells['all']} cells are finished; --resume plays the others.")
    for each in swept["failed"]:
        print_line(f"failed: {each['cell']}: {each['reason']}")


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int]) -> None:
    """A table to stdout; columns in `right` are numbers."""
    from rich.table import Table
    from rich.text import Text

    # As texts, because intervals have brackets, which rich would take for markup.
    table = Table(title=Text(title), title_justify="left")
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "right" if place in right else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=place in right, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    output_console().print(table)


def print_line(text: str) -> None:
    output_console().print(text, highlight=False, markup=False)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
