"""The manifest of a bundle: everything that a node must know about its step function before it runs it."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from heliograph.codec import LatentCodec
from heliograph.errors import BundleCorrupt, BundleMismatch
from heliograph.settings import Settings

FORMAT_VERSION = 1

Size = Annotated[int, Field(ge=1, le=2**24)]


class DiscreteActions(Settings):
    """One of `count` actions, numbered from 0."""

    kind: Literal["discrete"] = "discrete"
    count: Size


class MessageFormat(Settings):
    """A latent of `categoricals` class ids, each in 0..classes-1."""

    categoricals: Annotated[int, Field(ge=1, le=4096)]
    classes: Annotated[int, Field(ge=2, le=2**16)]

    @property
    def codec(self) -> LatentCodec:
        return LatentCodec(categoricals=self.categoricals, classes=self.classes)


class StateTensor(Settings):
    """One recurrent state tensor: graph input `state.<name>`, graph output `state.<name>.next`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    shape: tuple[Size, ...]
    dtype: Literal["float32"] = "float32"
    initial: float = 0.0


class Manifest(Settings):
    """What `manifest.json` holds.  The digest of a bundle is the SHA-256 of the file's bytes.

    The graph's digest is in it, so signing the manifest signs the graph too.
    """

    format_version: Literal[1] = FORMAT_VERSION
    algorithm: str
    environment: str
    environment_parameters: dict[str, Any] = {}
    run_id: str
    training_step: Annotated[int, Field(ge=0)]
    team_size: Annotated[int, Field(ge=1, le=4096)]
    slot: Annotated[int, Field(ge=0)]
    observation_size: Size
    actions: DiscreteActions
    message: MessageFormat | None
    state: tuple[StateTensor, ...]
    noise_size: Annotated[int, Field(ge=1)]
    graph_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    trainer_version: str

    def model_post_init(self, _context: Any) -> None:
        if self.slot >= self.team_size:
            raise ValueError(f"slot {self.slot} does not exist in a team of {self.team_size}")

    def to_bytes(self) -> bytes:
        """Canonical JSON: sorted keys, two-space indent, one trailing newline."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Parse and validate.  Raises BundleCorrupt, or BundleMismatch for a format version that is not ours."""
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BundleCorrupt(f"manifest.json is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise BundleCorrupt("manifest.json does not hold an object")
        version = fields.get("format_version")
        if version != FORMAT_VERSION:
            raise BundleMismatch(
                f"bundle has format version {version!r}, this program reads {FORMAT_VERSION}",
                remedy="Export the run again with this version of heliograph",
            )
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in problem["loc"]) or "manifest"
            raise BundleCorrupt(f"manifest.json: {place}: {problem['msg']}") from None


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
