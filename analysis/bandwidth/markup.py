"""HTML from Python: elements whose texts and attributes are escaped, and pictures that travel inside the page."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path


class Markup(str):
    """Text that is HTML already; every other text is escaped when it becomes part of an element."""


EMPTY_ELEMENTS = frozenset({"img", "meta", "br"})

Content = str | int | float | None


def element(tag: str, *content: Content, **attributes: str | int) -> Markup:
    """An element; `class_` and the like lose their underscore.  None is no content."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items()
    )
    if tag in EMPTY_ELEMENTS:
        assert not content
        return Markup(f"<{tag}{named}>")
    return Markup(f"<{tag}{named}>{join(content)}</{tag}>")


def join(content: Iterable[Content]) -> Markup:
    """One after another."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(str(part)) for part in content if part is not None)
    )


def table(align: str, headings: Sequence[Content], rows: Iterable[Sequence[Content]]) -> Markup:
    """A table; `align` has an `l` or `r` for each column: words are set flush left, numbers right."""

    def cells(tag: str, row: Sequence[Content]) -> Markup:
        return element("tr", *(element(tag, cell, class_=side) for side, cell in zip(align, row, strict=True)))

    body = element("tbody", *(cells("td", row) for row in rows))
    # In a box of its own, so that on a narrow screen the table scrolls and not the page.
    return element("div", element("table", element("thead", cells("th", headings)), body), class_="scroll")


def picture(path: Path, *, description: str) -> Markup:
    """A PNG inside the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return element("img", src=f"data:image/png;base64,{data}", alt=description)
