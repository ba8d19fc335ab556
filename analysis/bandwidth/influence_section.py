"""The section of the report's page about an audit: who can influence whom.  For `analysis.bandwidth.page` alone."""

from __future__ import annotations

from collections.abc import Sequence, Set

from analysis.audit.condition import LINK, WORLD
from analysis.bandwidth.markup import Content, Markup, element, table
from analysis.bandwidth.sections import Document, Show, absent, text, warning

VERDICTS = {"holds": "measured", "refuted": "bad", "not checked": "not"}
"""Of an audit, and the style of their marks."""
MATRICES = (
    ("world_graph", WORLD, "over all links of the world"),
    ("one_link", LINK, "over one link alone"),
)
"""Of an audit: the matrix, the check that found it, and what it shows."""
MOST_SHADES = 4


def influence(document: Document, show: Show) -> list[Content]:
    found = document["influence"]
    if found is None:
        return [absent("No audit was made. Add one with --audit, or give it the JSON of `heliograph audit`.")]
    verdicts = [
        (check["name"], element("span", check["verdict"], class_=f"mark {VERDICTS[check['verdict']]}"), check["said"])
        for check in found["checks"]
    ]
    return [
        text(
            "What one agent sees was changed, and what the others then did was compared, on real processes. The number "
            "is how many steps later the agent of the column first acts or speaks otherwise because of the agent of "
            "the row."
        ),
        element(
            "div",
            *(
                element(
                    "figure",
                    element("figcaption", title),
                    _matrix(
                        found["influence"][name],
                        {tuple(each["path"]) for each in found["influences"] if each["check"] == check},
                    ),
                )
                for name, check, title in MATRICES
            ),
            class_="figures",
        ),
        warning("The audit refutes that the team is decentralised; see below.") if found["refuted"] else None,
        table("lll", ("check", "", "what was found"), verdicts),
    ]


def _matrix(delays: Sequence[Sequence[int | None]], tried: Set[tuple[int, ...]]) -> Markup:
    """Rows are the agents that influence, columns those that are influenced; the sooner, the darker."""
    rows = [
        element("tr", element("th", f"from {j}"), *(_delay(delay, (j, i), tried) for i, delay in enumerate(row)))
        for j, row in enumerate(delays)
    ]
    head = element("tr", element("th", ""), *(element("th", f"to {i}") for i in range(len(delays))))
    return element("div", element("table", head, *rows, class_="matrix"), class_="scroll")


def _delay(delay: int | None, pair: tuple[int, int], tried: Set[tuple[int, ...]]) -> Markup:
    if delay is not None:
        return element("td", delay, class_=f"after{min(delay, MOST_SHADES)}")
    said = "never" if pair in tried else "" if pair[0] == pair[1] else "not tried"
    return element("td", said, class_="never")
