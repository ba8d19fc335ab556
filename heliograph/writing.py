"""Files that are replaced whole: whoever reads one finds the old text or the new, also after a crash.

Any package may import this.
"""

from __future__ import annotations

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Replace the file, and make its folder; into what is no plain file, such as a pipe, the text is written.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, encoding="utf-8")
    else:
        replace_text(path, text)


def replace_text(path: Path, text: str) -> None:
    """Write the text beside the file, and put it in its place once it is on the disk.

    Raises OSError; then the file is what it was, and nothing is left beside it.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # left there only by what went wrong, or by Ctrl-C
