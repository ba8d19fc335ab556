"""The documentation site: built without a warning, without the network, and of what the code says today."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from documents.blocks import blocks_of

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WRITTEN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "tests/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\((?P<target>[^)\s#]+)(#[^)\s]+)?\)")
FETCHED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"(?:https?:)?//[^\"]*|<link[^>]*\shref=\"(?:https?:)?//[^\"]*"
)
"""What a browser would load from elsewhere; a link to click on is none of it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package)
    pytest.importorskip("torch")  # the whole reference is that of an installation with everything
    folder = tmp_path_factory.mktemp("site")
    # A proxy that nobody serves: whatever asks the network fails.
    environment = os.environ | dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment["NO_MKDOCS_2_WARNING"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    # Not with --quiet, under which mkdocs counts no warnings and a strict build passes.
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


@pytest.mark.slow
def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    assert not {found for page in pages for found in FETCHED.findall(page.read_text(encoding="utf-8"))}


@pytest.mark.slow
def test_every_command_is_told_as_its_help_tells_it(site: Path) -> None:
    page = text_of(site / "reference" / "commands.html")
    for name in PROJECT["entry-points"]["heliograph.commands"]:
        assert f"usage: heliograph {name}" in page
    assert "--message-deadline-s" in page


@pytest.mark.slow
def test_every_setting_is_told(site: Path) -> None:
    from trainer.algorithms.registry import algorithm_entry, known_algorithms
    from trainer.training.settings import TrainSettings

    page = text_of(site / "reference" / "training.html")
    for name, field in TrainSettings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        assert (name if inner is None else f"{name}.{next(iter(inner))}") in page
    for algorithm in known_algorithms():
        for section in algorithm_entry(algorithm).sections:
            assert f"{section}." in page
    presets = text_of(site / "reference" / "presets.html")
    assert "mamba-smax-MAP[-paper|-code|-cpu]" in presets
    run = text_of(site / "reference" / "run.html")
    assert "--period-s" in run
    assert "--restarts" in run
    worlds = text_of(site / "reference" / "environments.html")
    assert "observation_noise" in worlds
    assert "flatland-10" in worlds


@pytest.mark.slow
def test_every_field_of_a_recording_is_told(site: Path) -> None:
    from coordinator.recording.schema import LINES, VERSION

    page = text_of(site / "reference" / "recording.html")
    assert f"This is version {VERSION} of the format" in page
    for line in LINES:
        for name, field in line.model_fields.items():
            assert (field.alias or name) in page
            assert " ".join((field.description or "").replace("`", "").split()) in page


@pytest.mark.slow
def test_every_public_name_is_told(site: Path) -> None:
    import heliograph

    pages = "".join(text_of(site / "reference" / f"{name}.html") for name in ("python", "runtime"))
    absent = [name for name in heliograph.__all__ if f"heliograph.{name}" not in pages and name != "errors"]
    assert not absent


@pytest.mark.slow
def test_what_is_code_in_a_document_is_code_on_the_site() -> None:
    """Which is made by rules of its own: in a list, it wants twice the indentation."""
    markdown = pytest.importorskip("markdown")
    yaml = pytest.importorskip("yaml")
    pytest.importorskip("pymdownx")
    extensions = [
        name
        for entry in yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["markdown_extensions"]
        for name in ([entry] if isinstance(entry, str) else entry)
    ]
    pages = {path: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
    counts = {
        str(path): (
            len(list(blocks_of(text, document=""))),
            markdown.markdown(text, extensions=extensions).count("<pre"),
        )
        for path, text in pages.items()
    }
    assert not {path: (ours, theirs) for path, (ours, theirs) in counts.items() if ours != theirs}


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    """On GitHub; that of the site, and places within pages, are checked by its own build."""
    targets = [found["target"] for found in LINK.finditer(path.read_text(encoding="utf-8"))]
    files = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in files if not (path.parent / target).exists()]
