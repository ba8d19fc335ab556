"""A file or folder that is of one process at a time; the kernel lets go of it when that process ends, however it ends.

Imported by the logbook of a coordinator, a node's choice of its certificate, and the trainer's run folder.
"""

from __future__ import annotations

import errno

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def claim(descriptor: int) -> bool:
    """Take what this open file descriptor is of, until it is closed; False if somebody else has it.

    A system or a file system without such locks, as clusters mount some, cannot tell, and lets everybody have it.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
