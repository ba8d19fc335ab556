"""Which certificate a node takes, where it is given those of a whole team.  Imported by `process.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heliograph.certificates.folder import own, slots_below
from heliograph.certificates.identity import Identity
from heliograph.claim import claim
from heliograph.errors import SettingsError, SlotTaken


@contextmanager
def claimed(folder: Path, *, slot: int | None) -> Iterator[Path]:
    """The folder of this process's certificate: `folder` itself, or that of the slot below it.

    Replicas that share the certificates of all slots and are given none take the first that no other process on this
    machine has: it is theirs until they end.  Raises SlotTaken if there is none.
    """
    shared = slots_below(folder)
    if slot is not None or not shared:
        yield own(folder, Identity(slot=slot or 0))
        return
    if os.name == "nt":
        raise SettingsError(
            "on Windows no node can tell which certificates of a team others have taken", remedy="Name --slot"
        )
    for identity in shared:
        descriptor = os.open(folder / identity.name, os.O_RDONLY)
        try:
            # The folder, which stays when the files in it are replaced.
            if claim(descriptor):
                yield folder / identity.name
                return
        finally:
            os.close(descriptor)
    raise SlotTaken(f"all {len(shared)} certificates in {folder} are in use", remedy="End a node, or issue more")
