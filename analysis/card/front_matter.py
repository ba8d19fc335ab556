"""The block of YAML at the head of a model card, which hubs read: licence, tags, results.

Only mappings, lists and scalars are written; a text is always quoted as JSON quotes it, which YAML reads as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from analysis.card.card import Card, has_interval
from heliograph.estimates import Estimate
from heliograph.figures import UNKNOWN
from heliograph.reading import printable


def front_matter(card: Card) -> str:
    """From `---` to `---`, with a newline at its end."""
    return "\n".join(["---", *_lines(_metadata(card), ""), "---", ""])


def _metadata(card: Card) -> dict[str, Any]:
    metrics = [
        _metric(card.measure, card.score.mean, f"{card.measure}, {_interval(card, card.score, card.episodes)}"),
    ]
    if card.masked_score is not None:
        masked = card.masked_score
        said = f"{card.measure}, every message masked, {_interval(card, masked, card.masked_episodes)}"
        metrics.append(_metric(f"{card.measure}_masked", masked.mean, said))
    if card.measure != "return":
        metrics.append(_metric("mean_reward", card.team_return.mean, "return per agent"))
    return {
        "license": card.licence,
        "library_name": "heliograph",
        "pipeline_tag": "reinforcement-learning",
        "tags": ["heliograph", "reinforcement-learning", "multi-agent", _slug(card.algorithm), _slug(card.environment)],
        "model-index": [
            {
                "name": card.name,
                "results": [
                    {
                        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
                        "dataset": {"name": card.environment, "type": _slug(card.environment)},
                        "metrics": metrics,
                    }
                ],
            }
        ],
    }


def _metric(kind: str, value: float, name: str) -> dict[str, Any]:
    return {"type": kind, "value": round(value, 4), "name": name, "verified": False}


def _interval(card: Card, value: Estimate, episodes: int | None) -> str:
    if not has_interval(card.measure, episodes):
        return f"interval {UNKNOWN}"
    return f"95 % interval {value.low:.3f} to {value.high:.3f}"


def _slug(text: str) -> str:
    """What a hub takes as a tag."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:60].strip("-") or "unknown"


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if isinstance(entry, dict | list):
                yield f"{indent}{key}:"
                yield from _lines(entry, indent + ("  " if isinstance(entry, dict) else ""))
            else:
                yield f"{indent}{key}: {_scalar(entry)}"
        return
    for entry in value:
        if isinstance(entry, dict):
            first, *others = _lines(entry, indent + "  ")
            yield f"{indent}- {first.strip()}"
            yield from others
        else:
            yield f"{indent}- {_scalar(entry)}"


def _scalar(value: Any) -> str:
    return json.dumps(printable(value) if isinstance(value, str) else value, ensure_ascii=False)
