"""Links from a page to files of the repository that are no pages: to where the repository is shown, if that is known.

On GitHub such a link is right as it stands.  In the site it would lead out of it, so it becomes a link to `repo_url`,
or the name of the file alone where mkdocs.yml has none.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

logger = logging.getLogger("mkdocs.hooks")

LINK = re.compile(r"(?<!!)\[(?P<text>[^\]\n]+)\]\((?P<target>\.\./[^)\s#]+)(?P<part>#[^)\s]+)?\)")


def followed(markdown: str, *, source: Path, root: Path, url: str | None) -> str:
    """`markdown` of the page `source` with the links out of docs/ replaced.

    One to nothing is a warning, which fails a strict build.
    """

    def replaced(found: re.Match[str]) -> str:
        file = Path(os.path.normpath(source.parent / found["target"]))
        if file.is_relative_to(root / "docs"):
            return found[0]
        if not file.exists():
            logger.warning("%s links to %s, which is not there", source, found["target"])
        path = file.relative_to(root)
        if not url:
            return found["text"] if "`" in found["text"] else f"{found['text']} (`{path}`)"
        return f"[{found['text']}]({url.rstrip('/')}/blob/main/{path}{found['part'] or ''})"

    return LINK.sub(replaced, markdown)
