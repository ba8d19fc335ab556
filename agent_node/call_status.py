"""What the status of a call to the coordinator means to a node.  Imported by `coordinator_world.py`."""

from __future__ import annotations

import grpc
import grpc.aio

from heliograph.errors import (
    BundleCorrupt,
    BundleMismatch,
    CoordinatorGone,
    HeliographError,
    MessageError,
    PeerRefused,
    SettingsError,
    SlotTaken,
)


class AnotherRun(Exception):
    """A coordinator is there, and has never known this node: it was started again, or is another one."""


def gone(address: str, what: str) -> CoordinatorGone:
    return CoordinatorGone(f"coordinator {address} {what}", remedy="Start it, then start this node again")


def refusal(error: grpc.aio.AioRpcError, *, address: str) -> HeliographError:
    """Why a node got no bundle, or was not welcomed.  Raises AnotherRun if it can be, in another run."""
    code, sentence = error.code(), f"coordinator {address}: {error.details()}"
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return BundleMismatch(sentence)
    if code is grpc.StatusCode.DATA_LOSS:
        return BundleCorrupt(sentence)
    if code is grpc.StatusCode.ALREADY_EXISTS:
        return SlotTaken(sentence, remedy="End the other node first")
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return PeerRefused(sentence, remedy="Give this node the certificate of its slot")
    if code is grpc.StatusCode.NOT_FOUND:
        return SettingsError(sentence, remedy="Give --slot one of the team's slots")
    if code is grpc.StatusCode.ABORTED:
        raise AnotherRun(sentence)
    return gone(address, f"is gone: {code.name} {error.details()}")


def ending(error: grpc.aio.AioRpcError, *, address: str) -> HeliographError:
    """What ended a session that had begun."""
    if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return MessageError(f"coordinator {address} has ended the session: {error.details()}")
    return gone(address, f"is gone: {error.code().name} {error.details()}")
