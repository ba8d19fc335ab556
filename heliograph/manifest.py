"""The manifest of a bundle: everything that a node must know about its step function before it runs it.

Plain dataclasses that check themselves, not pydantic models: an agent node needs no settings, and the library would be
a fifth of its memory.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from heliograph.action_rows import ActionRows
from heliograph.actions import ActionSpace, ContinuousActions, DiscreteActions
from heliograph.checks import check_integer, check_text
from heliograph.codecs.message_format import MessageFormat
from heliograph.codecs.message_values import MessageValues
from heliograph.errors import BundleCorrupt, BundleMismatch
from heliograph.reading import Unreadable, parse_json
from heliograph.sending import Sending

FORMAT_VERSION = 1
SENDING_VERSION = 2
"""Of bundles that withhold messages, which a program that does not know of it would await and send."""
PREDICTING_VERSION = 3
"""Of bundles that predict messages that are not there: their graph has an input that an older program does not feed."""
PREFIX_VERSION = 3
"""Of bundles whose messages say only their first ids, which a program that does not know of it could not read."""
HOLDING_VERSION = 4
"""Of bundles that say that they hold the last message that came, which an older program would not do by itself."""
VERSIONS = (FORMAT_VERSION, SENDING_VERSION, PREDICTING_VERSION, HOLDING_VERSION)

FILLINGS = ("mean", "mode", "sample")
"""What of a predicted distribution stands for a message: its mean, its most likely latent, or one drawn from it."""

MAX_MANIFEST_BYTES = 4 * 2**20

LARGEST_SIZE = 2**24
"""Of any dimension; larger numbers are mistakes, or attacks on the reader's memory."""
LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127


@dataclass(frozen=True, kw_only=True)
class StateTensor:
    """One recurrent state tensor: graph input `state.<name>`, graph output `state.<name>.next`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    initial: float = 0.0

    def __post_init__(self) -> None:
        check_text("state.name", self.name, r"[a-z][a-z0-9_]*")
        for size in self.shape:
            check_integer(f"state.{self.name}.shape", size, 1, LARGEST_SIZE)
        if self.dtype != "float32":
            raise ValueError(f"state.{self.name}.dtype is {self.dtype!r}, this program knows 'float32'")
        # Compared as it is: a whole number can be too large for any float.
        if type(self.initial) not in (int, float) or not -LARGEST_FLOAT32 <= self.initial <= LARGEST_FLOAT32:
            raise ValueError(f"state.{self.name}.initial is {str(self.initial)[:50]}, expected a float32 number")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What `manifest.json` holds.  The digest of a bundle is the SHA-256 of the file's bytes.

    The graph's digest is in it, so signing the manifest signs the graph too.  Raises ValueError, with the field named,
    for values that make no sense.
    """

    format_version: int = FORMAT_VERSION
    algorithm: str
    environment: str
    environment_parameters: dict[str, Any] = field(default_factory=dict)
    run_id: str
    training_step: int
    team_size: int
    slot: int
    observation_size: int
    actions: ActionSpace
    """What this agent can do; where its team mates do the same, they have as many actions, or dimensions and bits."""
    team_actions: tuple[ActionSpace, ...] | None = None
    """What each agent of the team can do, by slot, where messages tell of actions and these are of both kinds; None,
    and then not in the file, where all act alike or nothing is told."""
    message: MessageFormat | None
    message_values: MessageValues | None = None
    """The numbers that ids stand for, of a policy that talks in real vectors; None, and then not in the file, for ids
    that stand for nothing else."""
    sending: Sending | None = None
    """When it sends; None, and then not in the file, at every step."""
    predicts: str | None = None
    """What of its prediction it puts in place of a message that is not there, one of `FILLINGS`; None, and then not in
    the file, if it predicts none."""
    holds: bool = False
    """It learned to go on with the last message that came where one is not there; False, and then not in the file, if
    it learned nothing of that, or if `sending` or `predicts` says what it learned."""
    state: tuple[StateTensor, ...]
    noise_size: int
    graph_sha256: str
    tables_sha256: str | None = None
    """Of `tables.json`; None, and then not in the file, for a bundle without tables."""
    trainer_version: str
    planning_size: int | None = None
    """Numbers of this agent's hidden state, from which, with those of all others, its algorithm could plan for the
    team; None, and then not in the file, where it could not.  For whoever asks what that costs: nothing is sent."""

    def __post_init__(self) -> None:
        for name in ("algorithm", "environment", "run_id", "trainer_version"):
            check_text(name, getattr(self, name), r"[^\x00-\x1f]*")
        if not isinstance(self.environment_parameters, dict):
            raise ValueError(f"environment_parameters is {self.environment_parameters!r}, expected an object")
        check_integer("training_step", self.training_step, 0, 2**63 - 1)
        check_integer("team_size", self.team_size, 1, 4096)
        check_integer("slot", self.slot, 0, 4095)
        if self.slot >= self.team_size:
            raise ValueError(f"slot {self.slot} does not exist in a team of {self.team_size}")
        check_integer("observation_size", self.observation_size, 1, LARGEST_SIZE)
        check_integer("noise_size", self.noise_size, 1, LARGEST_SIZE)
        check_text("graph_sha256", self.graph_sha256, r"[0-9a-f]{64}")
        self._check_holding()
        self._check_version()
        if self.message_values is not None and self.message is None:
            raise ValueError("message_values are given for an agent that sends no messages")
        if self.sending is not None and self.message is None:
            raise ValueError("sending is given for an agent that sends no messages")
        if self.planning_size is not None:
            check_integer("planning_size", self.planning_size, 1, LARGEST_SIZE)
        if self.team_actions is not None:
            self._check_team_actions(self.team_actions)
        if self.tables_sha256 is not None:
            check_text("tables_sha256", self.tables_sha256, r"[0-9a-f]{64}")
            if self.message is None:
                raise ValueError("tables_sha256 is given for an agent that sends no messages")

    def _check_holding(self) -> None:
        if type(self.holds) is not bool:
            raise ValueError(f"holds is {self.holds!r}, expected true or false")
        if self.holds and self.message is None:
            raise ValueError("holds is given for an agent that reads no messages")
        if self.holds and (self.sending is not None or self.predicts is not None):
            raise ValueError("holds is given beside sending or predicts, which say what is held")

    def _check_version(self) -> None:
        newer = {
            "sending": (SENDING_VERSION, self.sending is not None),
            "predicts": (PREDICTING_VERSION, self.predicts is not None),
            "message.prefix": (PREFIX_VERSION, self.message is not None and self.message.prefix),
            "holds": (HOLDING_VERSION, self.holds),
        }
        given = {name: version for name, (version, has) in newer.items() if has}
        for name, version in given.items():
            if self.format_version < version:
                raise ValueError(f"{name} belongs to format version {version}, this is {self.format_version}")
        if self.format_version > max(given.values(), default=FORMAT_VERSION):
            names = " or ".join(name for name, (version, _) in newer.items() if version == self.format_version)
            raise ValueError(f"format version {self.format_version} is of bundles with {names}")
        if self.predicts is None:
            return
        if self.predicts not in FILLINGS:
            raise ValueError(f"predicts is {self.predicts!r}, expected one of {', '.join(FILLINGS)}")
        if self.message is None:
            raise ValueError("predicts is given for an agent that reads no messages")
        if self.sending is not None:
            raise ValueError("predicts is given for an agent that withholds messages, whose last one goes on to count")
        if self.message.prefix:
            raise ValueError("predicts is given for an agent whose messages may leave ids unsaid")

    def _check_team_actions(self, told: tuple[ActionSpace, ...]) -> None:
        if self.message is None:
            raise ValueError("team_actions are given for an agent that sends no messages")
        if len(told) != self.team_size:
            raise ValueError(f"team_actions are of {len(told)} agents in a team of {self.team_size}")
        if told[self.slot] != self.actions:
            raise ValueError(f"team_actions of slot {self.slot} are not its actions")
        if not ActionRows(told).mixed:
            raise ValueError("team_actions are given for a team whose agents all act alike")

    @property
    def late_policy(self) -> str:
        """What it learned to have in place of a message that is not there: `mask`, nothing; `hold`, the sender's last
        one; `predict`, what it predicts from that.  A run does so if it is not asked for something else."""
        if self.predicts is not None:
            return "predict"
        return "hold" if self.holds or self.sending is not None else "mask"

    @property
    def received_actions(self) -> ActionRows:
        """What messages of the team tell of actions, by the slot of who says it; bounds are its own alone."""
        return ActionRows(self.team_actions or (self.actions,) * self.team_size)

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, two-space indent, one trailing newline."""
        values = asdict(self)
        for name in ("tables_sha256", "team_actions", "planning_size", "sending", "predicts", "message_values"):
            if values[name] is None:
                del values[name]
        if not self.holds:
            del values["holds"]
        if self.message is not None:
            values["message"] = self.message.to_json()
        return (json.dumps(values, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse and validate.  Raises BundleCorrupt, or BundleMismatch for a format version that is not ours."""
        if len(data) > MAX_MANIFEST_BYTES:
            raise BundleCorrupt(f"manifest.json is larger than the limit of {MAX_MANIFEST_BYTES // 2**20} MiB")
        try:
            values = parse_json(data, finite=True)
        except Unreadable as error:
            raise BundleCorrupt(f"manifest.json {error}") from None
        if not isinstance(values, dict):
            raise BundleCorrupt("manifest.json does not hold an object")
        version = values.get("format_version")
        if type(version) is not int or version not in VERSIONS:
            known = f"{', '.join(str(each) for each in VERSIONS[:-1])} and {VERSIONS[-1]}"
            raise BundleMismatch(
                f"bundle has format version {version!r}, this program reads {known}",
                remedy="Export the run again with this version of heliograph",
            )
        try:
            return cls._from_values(values)
        except ValueError as error:
            raise BundleCorrupt(f"manifest.json: {error}") from None

    @classmethod
    def _from_values(cls, values: dict[str, Any]) -> Manifest:
        checked = _keys(cls, values, place="")
        message, state = checked["message"], checked["state"]
        if not isinstance(state, list):
            raise ValueError(f"state is {state!r}, expected a list")
        checked["actions"] = _actions(checked["actions"])
        if (told := checked.get("team_actions")) is not None:
            if not isinstance(told, list):
                raise ValueError(f"team_actions is {told!r}, expected a list")
            checked["team_actions"] = tuple(_actions_of(slot, each) for slot, each in enumerate(told))
        checked["message"] = (
            None if message is None else MessageFormat(**_keys(MessageFormat, message, place="message"))
        )
        if (sending := checked.get("sending")) is not None:
            checked["sending"] = Sending(**_keys(Sending, sending, place="sending"))
        if (stand_for := checked.get("message_values")) is not None:
            checked["message_values"] = MessageValues(**_keys(MessageValues, stand_for, place="message_values"))
        checked["state"] = tuple(_state_tensor(tensor) for tensor in state)
        return cls(**checked)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _actions_of(slot: int, values: Any) -> ActionSpace:
    try:
        return _actions(values)
    except ValueError as error:
        raise ValueError(f"team_actions[{slot}]: {error}") from None


def _actions(values: Any) -> ActionSpace:
    if isinstance(values, dict) and values.get("kind") == "continuous":
        bounds = _keys(ContinuousActions, values, place="actions")
        for name in ("low", "high"):
            if not isinstance(bounds[name], list):
                raise ValueError(f"actions.{name} is {bounds[name]!r}, expected a list")
        return ContinuousActions(**bounds | {name: tuple(bounds[name]) for name in ("low", "high")})
    return DiscreteActions(**_keys(DiscreteActions, values, place="actions"))


def _state_tensor(values: Any) -> StateTensor:
    checked = _keys(StateTensor, values, place="state")
    if not isinstance(checked["shape"], list):
        raise ValueError(f"state.shape is {checked['shape']!r}, expected a list")
    return StateTensor(**checked | {"shape": tuple(checked["shape"])})


def _keys(model: type, values: Any, *, place: str) -> dict[str, Any]:
    """The values of an object whose keys are those of a dataclass: none unknown, none missing."""
    if not isinstance(values, dict):
        raise ValueError(f"{place} is {values!r}, expected an object")
    prefix = f"{place}." if place else ""
    known = {entry.name: entry for entry in fields(model)}
    for key in values.keys() - known.keys():
        raise ValueError(f"unknown key {prefix}{key}")
    for name, entry in known.items():
        if name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise ValueError(f"{prefix}{name} is missing")
    return dict(values)
