"""What other designs would have sent on the same trajectories: the same agents, listeners and steps.  All computed.

Sizes are of the content alone, without the action that goes with a latent and without any framing, float32 where a
design sends floats.  Widths that other papers leave to the task are constants here, and part of what is printed.
Axis legend: K categoricals, C classes, D observation size, A actions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from coordinator.recording.reader import Trace
from heliograph.errors import SettingsError

FLOAT_BITS = 32

COMMNET_WIDTH = 128
"""Floats of a hidden vector that CommNet (Sukhbaatar et al. 2016) shares, in one round; assumed."""
TARMAC_SIGNATURE, TARMAC_VALUE = 16, 32
"""Floats of a message of TarMAC (Das et al. 2019), in one round; assumed."""
ATTENTION_WIDTH, ATTENTION_LAYERS = 256, 3
"""MAMBA's communication block; computed row by row at the agents, all but its first layer exchange vectors."""


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """One design.  `how` is "computed" for all of them."""

    name: str
    formula: str
    """Of the bits per message, or per agent and step, in words that a reader can check."""
    bits_per_agent_step: float
    ratio: float
    """Of the bits of the bit-packed latents; NaN where no latent was sent."""
    how: str = "computed"


def alternatives(trace: Trace, *, planning_size: int | None = None) -> list[Alternative]:
    """What the team does first, then the others, on all episodes of a trace in which links were open.

    `planning_size` is that of the manifests: numbers of a hidden state from which one place could plan for all.
    Of a team without messages nothing says who would have told whom, so only what goes to a centre is priced.  Raises
    SettingsError for a trace in which no link was open.
    """
    episodes = [episode for episode in trace.episodes if episode.pass_name == "open"]
    if not episodes:
        raise SettingsError("a recording of cut links alone does not show what other designs would have sent")
    agent_steps = sum(episode.steps for episode in episodes) * trace.header.agents
    messages = sum(int(episode.sent().sum()) for episode in episodes)
    present = sum(int(episode.present.sum()) for episode in episodes)
    message = trace.header.message
    packed = 0 if message is None else message.codec.payload_bits
    found = []
    designs = _centres(trace, planning_size)
    if message is None:
        designs = chain([("nothing: each agent acts alone (this team)", "0 bits", 0, False)], designs)
    else:
        designs = chain(_exchanges(trace), designs)
    for name, formula, bits, to_a_centre in designs:
        times = present if to_a_centre else messages
        found.append(
            Alternative(
                name=name,
                formula=formula,
                bits_per_agent_step=bits * times / agent_steps,
                ratio=bits * times / (packed * messages) if packed * messages else float("nan"),
            )
        )
    return found


def _exchanges(trace: Trace) -> Iterator[tuple[str, str, int, bool]]:
    """Name, formula, bits of a message, and whether agents send it to a centre instead of to their listeners."""
    header = trace.header
    assert header.message is not None
    categoricals, classes = header.message.categoricals, header.message.classes
    width = header.message.codec.bits_per_id
    observation = header.observation_size
    yield (
        "latent, bit-packed (this team)",
        f"{categoricals} ids x {width} bits",
        header.message.codec.payload_bits,
        False,
    )
    yield (
        "latent as one-hot floats",
        f"{categoricals} x {classes} floats x {FLOAT_BITS} bits",
        categoricals * classes * FLOAT_BITS,
        False,
    )
    if header.recurrent_size:
        recurrent = header.recurrent_size
        yield "recurrent state", f"{recurrent} floats x {FLOAT_BITS} bits", recurrent * FLOAT_BITS, False
    yield "raw observation", f"{observation} floats x {FLOAT_BITS} bits", observation * FLOAT_BITS, False
    yield (
        "float vector as in CommNet",
        f"1 round x {COMMNET_WIDTH} floats (assumed) x {FLOAT_BITS} bits",
        COMMNET_WIDTH * FLOAT_BITS,
        False,
    )
    yield (
        "float vector as in TarMAC",
        f"1 round x ({TARMAC_SIGNATURE} + {TARMAC_VALUE}) floats (assumed) x {FLOAT_BITS} bits",
        (TARMAC_SIGNATURE + TARMAC_VALUE) * FLOAT_BITS,
        False,
    )
    rounds = ATTENTION_LAYERS - 1
    yield (
        f"attention vectors in {ATTENTION_LAYERS} rounds (MAMBA §3.3)",
        f"{categoricals} ids x {width} bits + {rounds} rounds x {ATTENTION_WIDTH} floats x {FLOAT_BITS} bits",
        header.message.codec.payload_bits + rounds * ATTENTION_WIDTH * FLOAT_BITS,
        False,
    )


def _centres(trace: Trace, planning_size: int | None) -> Iterator[tuple[str, str, int, bool]]:
    """Those in which one place decides for all, likewise."""
    header, observation = trace.header, trace.header.observation_size
    spent = {space.message_bits for space in header.rows.spaces}
    action_bits = max(spent)
    down = f"{'at most ' if len(spent) > 1 else ''}{action_bits} bits of action down"
    yield (
        "central execution",
        f"{observation} floats x {FLOAT_BITS} bits up, {down}, per agent that takes part",
        observation * FLOAT_BITS + action_bits,
        True,
    )
    if planning_size is not None:
        ruled_out = any(not episode.action_mask.all() for episode in trace.episodes)
        mask_bits = header.actions if ruled_out else 0
        mask = f" + {mask_bits} bits of action mask" if ruled_out else ""
        yield (
            "central search in the learned model",
            f"{planning_size} floats of hidden state x {FLOAT_BITS} bits{mask} up, {down}, per agent that takes part",
            planning_size * FLOAT_BITS + mask_bits + action_bits,
            True,
        )
