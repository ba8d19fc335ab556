"""What to do about it when the system does not let a file be read or written: a remedy by its reason.

A disk that is full wants room, which is no help to who may not write there, or whose folder somebody has removed.
Any package may import this.
"""

from __future__ import annotations

import errno
import re

_REMEDIES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("ENOSPC", "EDQUOT"), "Make room on that disk"),
    (("EFBIG",), "Make room, or raise the limit of a file's size, which `ulimit -f` shows"),
    (("EACCES", "EPERM"), "Give this user the right to it, or work as who has it"),
    (("EROFS",), "Make that disk one that can be written, or name another place"),
    (("EMFILE", "ENFILE"), "Raise the limit of open files, which `ulimit -n` shows"),
    (("ENOENT", "ENOTDIR", "ESTALE"), "Check the path, and leave what it names in its place while the command works"),
    (("EIO",), "Look after that disk, or name another place"),
)
_BY_NUMBER = {getattr(errno, name): remedy for names, remedy in _REMEDIES for name in names if hasattr(errno, name)}
_NUMBERED = re.compile(r"\(os error (\d+)\)")
"""How a library in Rust, such as safetensors, says what the system said to it."""


def remedy_for(error: Exception, *, otherwise: str = "Make room, or name another place") -> str:
    """A sentence without a full stop; `otherwise` for what no error of the system is, or one that nothing is known
    of."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (told := _NUMBERED.search(str(error))):
        number = int(told[1])
    return otherwise if number is None else _BY_NUMBER.get(number, otherwise)
