"""What errors of other libraries say is wrong, in a line of one's own sentence."""

from __future__ import annotations

import re

_LINK = re.compile(r"\s*\b(?:See|For further information visit) https?://\S+[^.]*\.?")
"""A page that a library sends its reader to: of the library, and not of what the reader has done."""


def cause_of(error: Exception) -> str:
    """Of pydantic's the first problem, with its place in the document, and how many more there are."""
    listed = getattr(error, "errors", None)
    if callable(listed):
        first, *others = listed(include_url=False)
        place = ".".join(map(str, first["loc"]))
        return f"{place}: {first['msg']}" + (f", and {len(others)} more" if others else "")
    return _LINK.sub("", " ".join(str(error).split())).strip().rstrip(".")
