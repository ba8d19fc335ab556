"""Files that are replaced whole: whoever reads one finds the old text or the new, also after a crash.

Any package may import this.
"""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_NO_PLACE_BESIDE = {errno.EACCES, errno.EBUSY, errno.ENAMETOOLONG, errno.EPERM, errno.EROFS, errno.EXDEV}
"""What the system says where a file can be written, but nothing put beside it or in its place: one that is mounted into
a container by itself, one in a folder that is not ours, or one whose name is as long as may be.  A full disk is not
among them, since the old text would be lost for nothing."""


class NotInPlace(FileNotFoundError):
    """What is written has no name any more, or not the one by which it is to be found."""

    remedy = "Start again, and leave the file where it is until the run has ended"


def check_in_place(file: IO[Any], path: Path) -> None:
    """Raise NotInPlace unless the path still names the open file: what is written into one that was removed is lost,
    and the system says nothing of it."""
    try:
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return
    except PermissionError:  # nobody can tell
        return
    except (FileNotFoundError, NotADirectoryError):
        pass
    raise NotInPlace(errno.ENOENT, "it was moved, removed or replaced while it was written")


def write_text(path: Path, text: str) -> None:
    """Replace the file, and make its folder.

    The text is written in place into what is no plain file, such as a pipe, and into a file that cannot be replaced.
    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
        return
    try:
        replace_text(path, text)
    except OSError as error:
        if error.errno not in _NO_PLACE_BESIDE:
            raise
        path.write_text(text, encoding="utf-8")


def replace_text(path: Path, text: str) -> None:
    """Write the text beside the file, and put it in its place, with its permissions, once it is on the disk.

    Raises OSError; then the file is what it was, and nothing is left beside it.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            with suppress(OSError):  # there is none yet, or its disk knows no permissions
                shutil.copymode(path, partial)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # left there only by what went wrong, or by Ctrl-C
