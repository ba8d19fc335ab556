"""The one exception tree of the project, and what each error means to the outside.

Every error that a caller can cause or meet is a `HeliographError`.  Its class fixes three public facts:
the exit code of a command that ends with it, the gRPC status that it becomes on the wire (by name, so that
this module needs no grpc), and the sentence shown to a person.  `docs/errors.md` lists them; a test keeps the
two in step.

HeliographError                     1  UNKNOWN
├── SettingsError                   2  INVALID_ARGUMENT     a setting, flag or preset is wrong
│   └── OutputFailed                2  RESOURCE_EXHAUSTED   a file or a folder cannot be written, or no longer
├── BundleError                     3  FAILED_PRECONDITION
│   ├── BundleCorrupt               3  DATA_LOSS            truncated, altered, not a bundle
│   ├── BundleMismatch              3  FAILED_PRECONDITION  made for another slot, team, world or format
│   └── BundleUntrusted             3  PERMISSION_DENIED    signature missing or not by the trusted key
├── MessageError                    4  INVALID_ARGUMENT     a wire message that breaks the protocol
├── WorldError                      5  INTERNAL             an environment misbehaves
│   ├── UnknownEnvironment          5  NOT_FOUND
│   ├── EnvironmentUntrusted        5  PERMISSION_DENIED    a file names code or a path that the user has not named
│   └── MissingExtra                5  UNIMPLEMENTED        an optional package is not installed
├── NetworkError                    6  UNAVAILABLE
│   ├── PortTaken                   6  ALREADY_EXISTS
│   ├── PeerRefused                 6  PERMISSION_DENIED    hello with wrong run, slot, digest, version or certificate
│   ├── SlotTaken                   6  ALREADY_EXISTS       another node holds the slot
│   ├── NodeFailed                  6  ABORTED              a node that we supervise ended or never came up
│   └── CoordinatorGone             7  UNAVAILABLE
├── TrainingError                   8  INTERNAL
│   ├── NonFiniteLoss               8  INTERNAL
│   ├── RankLost                    8  ABORTED              another rank of a training ended before it
│   └── TargetNotReached           10  FAILED_PRECONDITION  all steps are done, and the team is not good enough
└── CheckpointError                 9  DATA_LOSS            cannot be written, or read back whole
"""

from __future__ import annotations

INTERRUPTED_EXIT_CODE = 130
"""Exit code after Ctrl-C or SIGTERM, by shell convention 128 + SIGINT."""

EXIT_CODES = (
    "exit codes: 0 done; 1 the answer is no, or the machine refused; 2 a setting, an argument or an output; "
    "3 a bundle; 4 a message; 5 an environment or an extra; 6, 7 the network; 8 a training; 9 a checkpoint; "
    "10 a target not reached; 130 interrupted"
)
"""For the help of all commands."""


class HeliographError(Exception):
    """Base of all errors with a cause that a person can act on.

    `message` says what was wrong, with the offending value; `remedy` says what to do about it.
    """

    exit_code = 1
    grpc_status = "UNKNOWN"

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class SettingsError(HeliographError):
    exit_code = 2
    grpc_status = "INVALID_ARGUMENT"


class OutputFailed(SettingsError):
    """What was finished before is whole and is reported; nothing more can be kept."""

    grpc_status = "RESOURCE_EXHAUSTED"


class BundleError(HeliographError):
    exit_code = 3
    grpc_status = "FAILED_PRECONDITION"


class BundleCorrupt(BundleError):
    grpc_status = "DATA_LOSS"


class BundleMismatch(BundleError):
    grpc_status = "FAILED_PRECONDITION"


class BundleUntrusted(BundleError):
    grpc_status = "PERMISSION_DENIED"


class MessageError(HeliographError):
    exit_code = 4
    grpc_status = "INVALID_ARGUMENT"


class WorldError(HeliographError):
    exit_code = 5
    grpc_status = "INTERNAL"


class UnknownEnvironment(WorldError):
    grpc_status = "NOT_FOUND"


class EnvironmentUntrusted(WorldError):
    grpc_status = "PERMISSION_DENIED"


class MissingExtra(WorldError):
    grpc_status = "UNIMPLEMENTED"


class NetworkError(HeliographError):
    exit_code = 6
    grpc_status = "UNAVAILABLE"


class PortTaken(NetworkError):
    grpc_status = "ALREADY_EXISTS"


class PeerRefused(NetworkError):
    grpc_status = "PERMISSION_DENIED"


class SlotTaken(NetworkError):
    grpc_status = "ALREADY_EXISTS"


class NodeFailed(NetworkError):
    grpc_status = "ABORTED"


class CoordinatorGone(NetworkError):
    exit_code = 7
    grpc_status = "UNAVAILABLE"


class TrainingError(HeliographError):
    exit_code = 8
    grpc_status = "INTERNAL"


class NonFiniteLoss(TrainingError):
    grpc_status = "INTERNAL"


class RankLost(TrainingError):
    grpc_status = "ABORTED"


class TargetNotReached(TrainingError):
    exit_code = 10
    grpc_status = "FAILED_PRECONDITION"


class CheckpointError(HeliographError):
    exit_code = 9
    grpc_status = "DATA_LOSS"
