"""The sections of the report's page, each from the report's document.  For `coordinator.bandwidth.page` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coordinator.bandwidth.markup import Content, Markup, element, table
from coordinator.bandwidth.wording import HOW, SCORES, interval, number, plain

Document = Mapping[str, Any]
Show = Callable[[str, str], Markup | None]
"""Picture of a plot, by name and description; None if it was not drawn."""


def subtitle(document: Document) -> Content:
    made = document["settings"]
    return (
        f"{document['summary']['agents']} agents that see only what they see and send each other short messages. "
        f"Measured on {made['team']}, {made['episodes']} episodes, Heliograph {document['versions']['heliograph']}."
    )


def summary(document: Document, show: Show) -> list[Content]:
    found, swept = document["summary"], document["sweep"]
    score = SCORES[found["measure"]]
    mean = found["score"]
    between = f"between {number(mean['low'])} and {number(mean['high'])} with 95 % confidence"
    tiles = [(number(mean["mean"]), f"{score} with messages, over {found['episodes']} episodes; {between}")]
    if swept is not None and swept["blind_level"] is not None:
        tiles.append((number(swept["blind_level"]), f"{score} with every message masked: the blind level"))
    if found["blind_bound"] is not None:
        tiles.append((number(found["blind_bound"]), "the most that any team without messages can reach"))
    tiles.append((number(found["bits_per_agent_step"]), "bits that an agent sends per step, over all its listeners"))
    wire = _outermost(document)
    if wire is not None:
        tiles.append((number(wire["bytes_per_message"]), f"bytes per message on the wire, measured at {wire['name']}"))
    said = document["information"]
    if said is not None:
        tiles.append(
            (
                f"{number(said['message_bits'])} of {number(said['ceiling_bits'])}",
                "bits that a message really says, of those that it could",
            )
        )
    boxes = (element("div", element("b", figure), element("span", what), class_="tile") for figure, what in tiles)
    return [element("div", *boxes, class_="tiles"), *(_warning(remark) for remark in document["remarks"])]


def layers(document: Document, show: Show) -> list[Content]:
    rows = [
        (
            row["name"],
            element("span", row["how"], class_=f"mark {HOW[row['how']]}"),
            number(row["bytes_per_message"]),
            number(row["bytes_per_agent_step"]),
            element("span", row["note"], class_="soft"),
        )
        for row in document["layers"]
    ]
    return [
        _text(
            "The same messages, seen further and further out: what they say, how they are written down, and what the "
            "network adds. Each row contains the one above it. A row is measured where bytes were counted on their "
            "way, computed where they follow from what was sent; what was not measured has no number."
        ),
        show("layers", "What each layer adds to a message, in bytes"),
        table("llrrl", ("layer", "", "bytes per message", "bytes per agent and step", ""), rows),
    ]


def links(document: Document, show: Show) -> list[Content]:
    found = document["links"]
    if not found:
        return [_absent("No messages went over links: the team was played in one process.")]
    names = ("sent", "delivered", "late", "lost_by_channel", "rejected", "lost")
    rows = [
        (
            f"{link['sender']} → {link['receiver']}",
            *("unknown" if link[name] is None else f"{link[name]:,}" for name in names),
            f"{link['sent_bytes']:,}",
        )
        for link in found
    ]
    unknown = sum(link["lost"] is None for link in found)
    lost = sum(link["lost"] or 0 for link in found)
    verdict = (
        f"Both ends of all {len(found)} links were compared: what one sent is what the other got, "
        + (f"but for {lost:,} messages that got lost." if lost else "nothing is missing.")
        if not unknown
        else f"Of {unknown} of {len(found)} links an end is gone, so nobody knows what was lost there."
    )
    return [
        _text(verdict),
        show("links", "Bytes sent over every directed link"),
        _more(
            "Every link",
            table(
                "lrrrrrrr",
                (
                    "link",
                    "sent",
                    "delivered",
                    "late",
                    "lost by the simulated channel",
                    "rejected",
                    "lost",
                    "bytes sent",
                ),
                rows,
            ),
        ),
    ]


def curves(document: Document, show: Show) -> list[Content]:
    swept = document["sweep"]
    if swept is None:
        return [_absent("No sweep was played. Add one with --sweep.")]
    score = SCORES[swept["measure"]]
    rows = [
        (
            curve["label"],
            point["value"],
            number(point["sent_bits"]),
            number(point["delivered_bits"]),
            interval({"mean": point["score"], "low": point["low"], "high": point["high"]}),
            len(point["runs"]),
        )
        for curve in swept["curves"]
        for point in curve["points"]
    ]
    cells = swept["cells"]
    unfinished = [_warning(f"Not played to its end: {each['cell']}. {each['reason']}") for each in swept["failed"]]
    if cells["finished"] < cells["all"]:
        unfinished.append(_warning(f"{cells['finished']} of {cells['all']} cells are finished; the rest is left out."))
    return [
        _text(
            f"The team was played again and again with a channel that loses or delays messages, and with other ways "
            f"to write them. Each point is the {score} of {swept['over']}, "
            f"{swept['episodes']} episodes each; bands are {swept['bands']}. Lines across mark the undisturbed team, "
            f"the team with every message masked, and, where it is known, the most that a team can reach without "
            f"messages: what lies between them is what the messages are worth."
        ),
        *unfinished,
        show("score_against_bits", f"{score} against bits per agent and step"),
        show("score_against_faults", f"{score} against each fault of the channel"),
        _more(
            "Every point",
            table("llrrrr", ("curve", "value", "sent bits", "delivered bits", f"{score} [95 %]", "runs"), rows),
        ),
    ]


def entropy(document: Document, show: Show) -> list[Content]:
    found = document["information"]
    if found is None:
        return [_absent("These bundles send no messages.")]
    given = found["message_bits_given_previous"]
    return [
        _text(
            f"A message is {found['categoricals']} categoricals of {found['classes']} classes, so it could say "
            f"{number(found['ceiling_bits'])} bits. Of {found['messages']:,} messages, each says about "
            f"{number(found['message_bits'])} bits"
            + (f", and {number(given)} that the sender's message before did not tell." if given is not None else ".")
            + f" Estimator: {found['estimator']}."
        ),
        show("entropy", "Entropy of each categorical, in bits"),
        show("entropy_by_step", "Entropy of each categorical over the steps of an episode"),
    ]


def alternatives(document: Document, show: Show) -> list[Content]:
    rows = [
        (
            each["name"],
            number(each["bytes_per_agent_step"]),
            f"{each['ratio']:,.3g} times",
            element("span", each["note"], class_="soft"),
        )
        for each in document["alternatives"]
    ]
    if not rows:
        return [_absent("Without messages there is nothing to compare.")]
    return [
        _text(
            "On the same episodes, between the same agents, what other designs would have had to send. All of it is "
            "computed: payload alone, without any network's overhead."
        ),
        table("lrrl", ("design", "bytes per agent and step", "of this team's", ""), rows),
    ]


def language(document: Document, show: Show) -> list[Content]:
    found = document["language"]
    if found is None:
        return [_absent("The language was not read: see the remarks of the summary.")]
    return [*(_text(sentence) for sentence in found["sentences"]), show("language", "What the messages are about")]


def influence(document: Document, show: Show) -> list[Content]:
    found = document["influence"]
    if found is None:
        return [_absent("No audit was made. Add one with --audit, or give the JSON of `heliograph audit`.")]
    return [
        *(_text(sentence) for sentence in found["sentences"]),
        show("influence", "After how many steps each agent's observations change each other agent's actions"),
    ]


def settings(document: Document, show: Show) -> list[Content]:
    return [
        table("ll", ("setting", "value"), _flat(document["settings"])),
        element("h3", "Versions"),
        table("ll", ("package", "version"), document["versions"].items()),
    ]


def _outermost(document: Document) -> Mapping[str, Any] | None:
    """The last layer that was measured."""
    found = [row for row in document["layers"] if row["how"] == "measured" and row["bytes_per_message"] is not None]
    return found[-1] if found else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value)


def _text(sentence: str) -> Markup:
    return element("p", sentence)


def _absent(sentence: str) -> Markup:
    return element("p", sentence, class_="soft")


def _warning(sentence: str) -> Markup:
    return element("p", sentence, class_="warning")


def _more(title: str, content: Markup) -> Markup:
    return element("details", element("summary", title), content)
