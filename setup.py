"""What a package index shows, where that depends on where the repository is; everything else is in pyproject.toml.

    HELIOGRAPH_REPOSITORY=https://host/owner/heliograph python -m build

A README that was taken out of its repository leads nowhere by relative links.  With the address they and the images are
made absolute, and the index links to the repository; without it links become their text, and images are left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from setuptools import setup

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]\n]*)\]\((?P<target>(?!https?:|#)[^)\s]+)\)")


def described(readme: str, repository: str) -> str:
    """The README for a page elsewhere; `repository` is an address, or empty."""

    def elsewhere(link: re.Match[str]) -> str:
        if not repository:
            return "" if link["image"] else link["text"]
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({repository}/{kind}/main/{link['target']})"

    return LINK.sub(elsewhere, readme)


def addresses(repository: str) -> dict[str, str]:
    """What an index links to."""
    if not repository:
        return {}
    return {
        "Source": repository,
        "Documentation": f"{repository}/tree/main/docs",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


if __name__ == "__main__":
    found = os.environ.get("HELIOGRAPH_REPOSITORY", "").rstrip("/")
    setup(
        long_description=described((Path(__file__).parent / "README.md").read_text(encoding="utf-8"), found),
        long_description_content_type="text/markdown",
        project_urls=addresses(found),
    )
