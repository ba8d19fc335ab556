"""What mkdocs calls while it builds the site: generated parts are put in, links to files of the repository followed.

A page holds `<!-- generated: commands -->` where a part goes; on GitHub the sentence before it says what it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rendered_commands
import rendered_presets
import rendered_recording
import rendered_settings
import repository_links

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"^<!-- generated: (?P<part>[a-z]+) -->$", re.MULTILINE)
PARTS: dict[str, Callable[[], str]] = {
    "commands": rendered_commands.render,
    "environments": rendered_settings.render_environments,
    "launch": rendered_settings.render_launch,
    "presets": rendered_presets.render,
    "recording": rendered_recording.render,
    "run": rendered_settings.render_run,
    "training": rendered_settings.render_training,
}


def on_startup(**_: Any) -> None:
    """The packages of this checkout are documented, not those that may be installed."""
    sys.path.insert(0, str(ROOT))


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """A page with its generated parts, and links that lead somewhere."""
    whole = PLACE.sub(lambda found: PARTS[found["part"]](), markdown)
    return repository_links.followed(whole, source=Path(page.file.abs_src_path), root=ROOT, url=config.repo_url)
