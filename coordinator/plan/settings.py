"""What is asked of a run: each option declared once.  Imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.channel import Channel
from coordinator.channel.keys import KEYS
from coordinator.plan.options import check, option, section
from coordinator.plan.pace import Pace
from heliograph.errors import SettingsError
from heliograph.output_arguments import output_file, output_folder

if TYPE_CHECKING:
    from heliograph.manifest import Manifest

TRAINED = "trained"
"""The late policy that the team was trained with, as its bundles say."""
PERMUTED = "permuted"
"""The condition in which agents hear what the same sender said at the same step of another episode."""
LINKS = {
    "open": ("open",),
    "cut": ("cut",),
    "both": ("open", "cut"),
    "permuted": (PERMUTED,),
    "all": ("open", "cut", PERMUTED),
}
"""Values of `--links`, and the conditions that they stand for."""


def seed(text: str) -> int:
    """A seed of a run.  Raises ArgumentTypeError for one that not every part of a run could take."""
    if not text.isdecimal() or int(text[:21]) >= 2**64:
        raise argparse.ArgumentTypeError(f"the seed must be in 0..2**64-1, not {text}")
    return int(text)


def _film(text: str) -> Path:
    """What `--frames` writes.  Raises ArgumentTypeError if it cannot be."""
    return output_file(text) if text.lower().endswith(".gif") else output_folder(text)


def late_policy_of(manifest: Manifest, asked: str) -> str:
    """What stands for a late message in a run of these bundles, `mask`, `hold` or `predict`, if so is `asked`."""
    return manifest.late_policy if asked == TRAINED else asked


def channel_of(texts: Sequence[str]) -> Channel | None:
    """The channel of `key=value` texts; None where there are none.  Raises SettingsError if it cannot be."""
    return Channel.parse(*texts) if texts else None


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a team's episodes are run, whether by processes or in one process."""

    episodes: int = option(100, "episodes of each condition", at_least=1)
    run_seed: int = option(
        0,
        "seed of the run: worlds and the agents' noise follow from it",
        name="seed",
        argument={"type": seed},
    )
    most_steps: int = option(
        10_000,
        "cut an episode that its environment has not ended after so many steps; it counts for its return until then, "
        "or as not won",
        at_least=1,
        argument={"metavar": "N"},
    )
    greedy: bool = option(
        True,
        "most likely latents and actions (the default)",
        off_flag="--sampled",
        off="sampled latents and actions instead",
    )
    conditions: tuple[str, ...] = option(
        ("open",),
        "conditions to run: messages as the environment allows them (open), no messages (cut), both in turn, messages "
        "of another episode (permuted; in one process alone), or all three.  Episodes are numbered through, so the "
        "conditions of both and all have different ones, and cut or permuted alone those of open",
        name="passes",
        flag="--links",
        read=LINKS.__getitem__,
        argument={"choices": tuple(LINKS), "default": "open"},
    )
    codec: str = option(
        "bit-packed",
        "how latents are written: bit-packed, entropy, most-informative:M, repeats",
        argument={"metavar": "SPEC"},
    )
    channel: Channel | None = option(
        None,
        f"simulate faults of the links.  {'; '.join(KEYS.values())}",
        read=channel_of,
        argument={"action": "append", "default": [], "metavar": "KEY=VALUE"},
    )
    late_policy: str = option(
        TRAINED,
        "treat a late message as missing (mask), reuse the last one received (hold), or put what the receiver predicts "
        "from that in its place (predict); as the bundles say that the team was trained (trained)",
        name="late",
        choices=(TRAINED, "mask", "hold", "predict"),
    )
    pace: Pace = section(Pace)
    record: Path | None = option(
        None,
        "write every step to FILE (.jsonl or .jsonl.gz)",
        identifies=False,
        argument={"metavar": "FILE", "type": output_file},
    )
    frames: Path | None = option(
        None,
        "draw the first episode of each condition: FILM.gif is one animated file, any other name a folder of PNG files",
        identifies=False,
        argument={"metavar": "FILM", "type": _film},
    )

    def __post_init__(self) -> None:
        check(self)
        if not 0 <= self.run_seed < 2**64:
            raise SettingsError(f"the seed must be in 0..2**64-1, not {self.run_seed}")


DEFAULTS = RunSettings()
