"""The sections of the report's page, each from the report's document.  For `analysis.bandwidth.page` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from analysis.bandwidth.markup import Content, Markup, element, table
from analysis.bandwidth.wording import COUNTS, HOW, SCORES, interval, number, plain, score

Document = Mapping[str, Any]
Show = Callable[[str, str], Markup | None]
"""Picture of a plot, by name and description; None if it was not drawn."""


def subtitle(document: Document) -> Content:
    found = document["summary"]
    talk = "" if document["information"] is None else " and send each other short messages"
    return (
        f"{found['agents']} agents that see only what they see{talk}. Measured on {document['settings']['team']}, "
        f"{found['episodes']} episodes, Heliograph {document['versions']['heliograph']}."
    )


def summary(document: Document, show: Show) -> list[Content]:
    found, swept = document["summary"], document["sweep"]
    name = SCORES[found["measure"]]
    mean = found["score"]
    between = f"between {score(mean['low'])} and {score(mean['high'])} with 95 % confidence"
    tiles = [(score(mean["mean"]), f"{name} with messages, over {found['episodes']} episodes; {between}")]
    if swept is not None and swept["blind_level"] is not None:
        tiles.append((score(swept["blind_level"]), f"{name} with every message masked: the blind level"))
    if found["blind_bound"] is not None:
        tiles.append((score(found["blind_bound"]), "the most that any team without messages can reach"))
    bits = number(found["bits_per_agent_step"])
    tiles.append((bits, "bits that an agent sends per step, actions included, once for every listener"))
    wire = _outermost(document)
    if wire is not None:
        tiles.append((number(wire["bytes_per_message"]), f"bytes per message at {wire['name']}, {wire['how']}"))
    said = document["information"]
    if said is not None:
        tiles.append(
            (
                f"{number(said['message_bits'])} of {number(said['ceiling_bits'])}",
                "bits that a message says at most, of those that it could",
            )
        )
    shortest = min(
        (each for each in document["codecs"] if each["lossless"] and each["bits_per_message"] is not None),
        key=lambda each: each["bits_per_message"],
        default=None,
    )
    if shortest is not None:
        tiles.append(
            (number(shortest["bits_per_message"]), f"bits per message with codec {shortest['codec']}, nothing left out")
        )
    boxes = (element("div", element("b", figure), element("span", what), class_="tile") for figure, what in tiles)
    return [
        text(_verdict(document)),
        element("div", *boxes, class_="tiles"),
        *(warning(remark) for remark in document["remarks"]),
    ]


def _verdict(document: Document) -> str:
    """What the messages are worth and what they cost, in words."""
    found, swept, wire = document["summary"], document["sweep"], _outermost(document)
    name = SCORES[found["measure"]]
    if document["information"] is None:
        return f"The team, whose agents send no messages, comes to a {name} of {score(found['score']['mean'])}."
    said = f"With its messages the team comes to a {name} of {score(found['score']['mean'])}"
    if swept is not None and swept["blind_level"] is not None:
        said += f", with every message masked to {score(swept['blind_level'])}"
    said += f". An agent sends {number(found['bits_per_agent_step'])} bits per step, actions included"
    if wire is not None:
        said += f"; a message takes {number(wire['bytes_per_message'])} bytes at {wire['name']} ({wire['how']})"
        beyond = [row["name"] for row in document["layers"][document["layers"].index(wire) + 1 :]]
        said += f"; what {' and '.join(beyond)} adds is not known" if beyond else ", with all that carries it"
    return said + "."


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
        text(
            "The same messages, seen further and further out: what they say, how they are written down, and what the "
            "network adds. Each row contains the one above it. A row is measured where bytes were counted on their "
            "way, computed where they follow from what was sent; what was not measured has no number."
        ),
        show("layers", "What each layer adds to a message, in bytes"),
        table("llrrl", ("layer", "", "bytes per message", "bytes per agent and step", ""), rows),
    ]


def links(document: Document, show: Show) -> list[Content]:
    rows = [
        (f"{link['sender']} → {link['receiver']}", *(_count(link[name]) for name in COUNTS))
        for link in document["links"]
    ]
    return [
        text(
            "Every message is counted at both of its ends. What was sent over a link must be what came out of it, what "
            "came too late or was refused, and what the simulated channel took; anything else is an error."
        ),
        element("ul", *(element("li", sentence) for sentence in document["conservation"])),
        show("links", "What was sent over every directed link"),
        _more("Every link", table("l" + "r" * len(COUNTS), ("link", *COUNTS.values()), rows)),
    ]


def curves(document: Document, show: Show) -> list[Content]:
    swept = document["sweep"]
    if swept is None:
        return [absent("No sweep was played. Add one with --sweep.")]
    name = SCORES[document["summary"]["measure"]]
    rows = [
        (
            curve["label"],
            point["value"],
            number(point["sent_bits"]),
            number(point["read_bits"]),
            interval({"mean": point["score"], "low": point["low"], "high": point["high"]}),
            len(point["runs"]),
        )
        for curve in swept["curves"]
        for point in curve["points"]
    ]
    cells = swept["cells"]
    unfinished = [warning(f"Not played to its end: {each['cell']}. {each['reason']}") for each in swept["failed"]]
    if cells["finished"] < cells["all"]:
        unfinished.append(warning(f"{cells['finished']} of {cells['all']} cells are finished; the rest is left out."))
    return [
        text(
            f"The team was played again and again with a channel that loses or delays messages, and with other ways "
            f"to write them. Each point is its {name} in {swept['episodes']} episodes, {swept['over']}; bands are "
            f"{swept['bands']}. Lines across mark the undisturbed team, the team with every message masked, and, where "
            f"it is known, the most that any team can reach without messages: what lies between them is what the "
            f"messages are worth. Bits are those of the latents and of the actions that go with them, once for every "
            f"listener; those that were read were neither lost nor late."
        ),
        *unfinished,
        show("score_against_bits", f"{name} against bits per agent and step"),
        show("score_against_faults", f"{name} against each fault of the channel"),
        _more(
            "Every point",
            table("llrrrr", ("curve", "value", "sent bits", "read bits", f"{name} [95 %]", "runs"), rows),
        ),
    ]


def entropy(document: Document, show: Show) -> list[Content]:
    found = document["information"]
    if found is None:
        return [absent("These bundles send no messages.")]
    given = found["message_bits_given_previous"]
    return [
        text(
            f"A message is {found['categoricals']} categoricals of {found['classes']} classes, so it could say "
            f"{number(found['ceiling_bits'])} bits. Of {found['messages']:,} messages, each counted once however many "
            f"hear it, each says at most "
            f"{number(found['message_bits'])} bits"
            + (f", and {number(given)} that the sender's message before did not tell." if given is not None else ".")
            + f" Estimator: {found['estimator']}. What codecs make of the same messages:"
        ),
        table(
            "llrr",
            ("codec", "", "bits per message", "bytes of protobuf per message"),
            (
                (
                    each["codec"],
                    element("span", "lossless" if each["lossless"] else "lossy", class_="soft"),
                    number(each["bits_per_message"]),
                    number(each["protobuf_bytes_per_message"]),
                )
                for each in document["codecs"]
            ),
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
        return [absent("Without messages there is nothing to compare.")]
    return [
        text(
            "On the same episodes, between the same agents, what other designs would have had to send. All of it is "
            "computed: payload alone, without any network's overhead."
        ),
        table("lrrl", ("design", "bytes per agent and step", "of bit-packed latents", ""), rows),
    ]


def language(document: Document, show: Show) -> list[Content]:
    found = document["language"]
    if found is None:
        return [absent("The agents said nothing that could be read.")]
    columns = list(found["categoricals"][0])
    rows = [[each if isinstance(each, str) else number(each) for each in row.values()] for row in found["categoricals"]]
    return [
        *(text(sentence) for sentence in found["sentences"]),
        show("language", "What each categorical tells, and which change what the receivers do"),
        _more("Every categorical", table("r" * len(columns), [name.replace("_", " ") for name in columns], rows)),
    ]


def settings(document: Document, show: Show) -> list[Content]:
    return [
        table("ll", ("setting", "value"), _flat(document["settings"])),
        element("h3", "Versions"),
        table("ll", ("package", "version"), document["versions"].items()),
    ]


def _outermost(document: Document) -> Mapping[str, Any] | None:
    """The last layer that is known, measured or computed: the row of the table that sentences quote."""
    found = [row for row in document["layers"] if row["bytes_per_message"] is not None]
    return found[-1] if found else None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(value)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def text(sentence: str) -> Markup:
    return element("p", sentence)


def absent(sentence: str) -> Markup:
    return element("p", sentence, class_="soft")


def warning(sentence: str) -> Markup:
    return element("p", sentence, class_="warning")


def _more(title: str, content: Markup) -> Markup:
    return element("details", element("summary", title), content)
