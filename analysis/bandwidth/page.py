"""report.html: everything that was found, on one page that needs nothing else, made from the report's document.

The page loads nothing: its style is inside and its pictures too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from analysis.bandwidth import sections
from analysis.bandwidth.influence_section import influence
from analysis.bandwidth.markup import Content, Markup, element, join, picture
from analysis.bandwidth.style import STYLE

Document = Mapping[str, Any]
Pictures = Mapping[str, Path]
"""PNG files by the names of their plots; what was not drawn is missing."""

FRAME = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$header
$body
</main>
</body>
</html>
""")

SECTIONS: dict[str, tuple[str, Callable[[Document, sections.Show], list[Content]]]] = {
    "summary": ("Summary", sections.summary),
    "layers": ("Bytes by layer", sections.layers),
    "links": ("Links", sections.links),
    "curves": ("What the messages are worth", sections.curves),
    "entropy": ("How much the messages say", sections.entropy),
    "alternatives": ("What others would have sent", sections.alternatives),
    "language": ("What the agents tell each other", sections.language),
    "influence": ("Who can influence whom", influence),
    "settings": ("Settings and versions", sections.settings),
}
"""By their anchors, in the order of the page."""


def page(document: Document, pictures: Pictures) -> str:
    """The whole page."""

    def show(name: str, description: str) -> Markup | None:
        return picture(pictures[name], description=description) if name in pictures else None

    made = document["settings"]
    title = f"Bandwidth of {document['summary']['agents']} agents, {made['algorithm']} in {made['environment']}"
    header = element(
        "header",
        element("h1", title),
        element("p", sections.subtitle(document)),
        element("nav", *(element("a", name, href=f"#{anchor}") for anchor, (name, _) in SECTIONS.items())),
    )
    body = join(
        element("section", element("h2", name), *make(document, show), id=anchor)
        for anchor, (name, make) in SECTIONS.items()
    )
    return FRAME.substitute(title=join([title]), style=STYLE, header=header, body=body)
