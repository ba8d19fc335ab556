"""The words of a model card, in Markdown: what stands in it was measured, or says `unknown`.

Names come from manifests, which anybody may have written: they are written as code, and make no other Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from analysis.card.card import NOT_MEASURED, Card, has_interval
from analysis.card.front_matter import front_matter
from heliograph.display import interval
from heliograph.estimates import Estimate
from heliograph.figures import UNKNOWN
from heliograph.hub.team_folder import AUDIT, BUNDLES, DRAWING, EVALUATION
from heliograph.reading import printable

_MEASURES = {"won": "episodes won", "arrived": "share arrived", "return": "return per agent"}


def page(card: Card, *, drawing: bool) -> str:
    """README.md; `drawing` says whether there is one of an episode."""
    return front_matter(card) + "\n" + "\n".join(_body(card, drawing=drawing))


def _body(card: Card, *, drawing: bool) -> Iterator[str]:
    yield f"# {_plain(card.name)}\n"
    kind = f"{card.agents} agents" if card.agents > 1 else "one agent"
    sent = "messages of discrete latents between agents" if card.sends_messages else "agents that send nothing"
    yield (
        f"A team of {kind}, trained by {_code(card.algorithm)} in {_code(card.environment)}: one bundle per agent, "
        f"which is a process of its own and sees its own observation alone; {sent}.\n"
    )
    if drawing:
        yield f"![An episode]({DRAWING})\n"
    yield "| | |\n|---|---|"
    for label, value in _rows(card):
        yield f"| {label} | {value} |"
    yield "\n## Run it\n"
    yield "```sh\npip install '.[hub]'                     # in a checkout of Heliograph"
    yield "heliograph pull OWNER/NAME --to team     # this page's repository"
    yield "heliograph run --bundles team --links both\n```\n"
    yield (
        "A bundle is an ONNX graph and a manifest: pulling it runs no code of anybody's. `--trusted-key FILE` asks for "
        "the signature of a key that you know.\n"
    )
    yield from _measured(card)
    yield "\n## Bundles\n\n| slot | SHA-256 of its manifest, which has that of its graph |\n|---|---|"
    for slot, digest in enumerate(card.digests):
        yield f"| {slot} | `{digest}` |"
    yield f"\n{_signature(card)}\n"


def _rows(card: Card) -> Iterator[tuple[str, str]]:
    measure = _MEASURES.get(card.measure, _code(card.measure))
    yield "task", _code(card.environment) + (f" with {_code(json.dumps(card.parameters))}" if card.parameters else "")
    yield "algorithm", f"{_code(card.algorithm)}, heliograph {_code(card.trainer_version)}"
    yield "environment steps of training", UNKNOWN if card.training_step is None else f"{card.training_step:,}"
    yield "training seed", UNKNOWN if card.training_seed is None else str(card.training_seed)
    yield f"{measure}, mean and 95 % interval", f"{_estimate(card, card.score)}, {card.episodes} episodes"
    if card.sends_messages:
        masked = NOT_MEASURED
        if card.masked_score is not None:
            masked = f"{_estimate(card, card.masked_score, masked=True)}, {card.masked_episodes} episodes"
        yield "the same with every message masked", masked
    if card.blind_bound is not None:
        known = "best found" if card.blind_bound_measured else "bound"
        yield f"{known} without communication", f"{card.blind_bound:.3g}"
    if card.measure != "return":
        yield "return per agent", _estimate(card, card.team_return, measure="return")
    yield "bits per agent and step", card.bits_per_agent_step
    yield "bits per message", card.bits_per_message
    if card.late is not None:
        yield "in place of late messages", _code(card.late)
    yield "latency of a step, p50 / p99", _latency(card)
    yield "audit of decentralised execution", card.audit
    yield "licence", _code(card.licence)


def _measured(card: Card) -> Iterator[str]:
    yield (
        f"## How it was measured\n\nBy {_code(card.run)} on one machine, {card.policy} policy, evaluation seed "
        f"{card.evaluation_seed}: [{EVALUATION}]({EVALUATION}). Intervals are over episodes of this one training. "
        "Latency is that machine's.\n"
    )
    for remark in card.remarks:
        yield f"- {_plain(remark)}"
    if card.checks:
        yield f"\nThe audit ([{AUDIT}]({AUDIT})) tried to refute that agents know only what they may:\n"
        yield "| check | verdict | |\n|---|---|---|"
        for name, verdict, said in card.checks:
            yield f"| {_plain(name)} | {_plain(verdict)} | {_plain(said)} |"
    else:
        yield "\nNobody has audited these bundles: whether agents know only what they may is unknown."


def _signature(card: Card) -> str:
    if not card.signed:
        return f"They are not signed; what is in `{BUNDLES}/` is what this page tells of only if you trust its author."
    if card.signing_key is None:
        return "They are signed; by which key, this page does not know."
    return (
        f"They are signed by the ed25519 key `{card.signing_key}`. Trust it only if its owner has told you so "
        "elsewhere: whoever can change the bundles can change this page."
    )


def _latency(card: Card) -> str:
    if card.latency_p50_s is None or card.latency_p99_s is None:
        return NOT_MEASURED
    return f"{card.latency_p50_s * 1e3:.2f} / {card.latency_p99_s * 1e3:.2f} ms"


def _estimate(card: Card, value: Estimate, *, measure: str = "", masked: bool = False) -> str:
    if not has_interval(measure or card.measure, card.masked_episodes if masked else card.episodes):
        return f"{interval(value.mean, None, None)} (of one episode: interval {UNKNOWN})"
    return interval(value.mean, value.low, value.high)


def _code(text: str) -> str:
    """As code, in a line and a cell of a table, whatever is in the text."""
    return f"`{printable(text).replace('`', chr(39)).replace('|', '/')}`"


def _plain(text: str) -> str:
    """As text that makes no markup and no cell."""
    plain = printable(text)
    for letter in "\\`*_[]<>|#":
        plain = plain.replace(letter, f"\\{letter}")
    return plain
