"""Every code block of README.md and docs/ does what it says: it is run as printed, in order, or listed with the reason.

The list is `treatments.toml`.  The blocks of one document are run one after the other in one folder, like a reader's.
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documents.blocks import PYTHON, SHELL, Block, blocks
from documents.treatments import Treatments
from documents.workplace import REPOSITORY, Workplace

BLOCKS = list(blocks(REPOSITORY))
TREATMENTS = Treatments.read()
RELAY = "heliograph train --preset relay --seed 1 --folder runs/relay"
"""The training whose run folder all documents speak of."""


@pytest.fixture(scope="session")
def relay_run(tmp_path_factory: pytest.TempPathFactory, warm_variables: dict[str, str]) -> Path:
    """The run folder of the README's training, shrunk."""
    pytest.importorskip("torch")
    training = TREATMENTS.of_command(RELAY)
    assert training is not None
    place = Workplace(tmp_path_factory.mktemp("trained"), warm_variables)
    place.command(training)
    return place.folder / "runs" / "relay"


@pytest.fixture(scope="module")
def workplace_of(
    relay_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
    warm_variables: dict[str, str],
    warm_team_variables: dict[str, str],
) -> Iterator[Callable[[str], Workplace]]:
    """The folder of a document, made at its first block."""
    places: dict[str, Workplace] = {}

    def of(document: str) -> Workplace:
        if document not in places:
            places[document] = Workplace(tmp_path_factory.mktemp("reader"), warm_team_variables | warm_variables)
            shutil.copytree(relay_run, places[document].folder / "runs" / "relay")
        return places[document]

    yield of
    for place in places.values():
        place.close()


def check_tree(block: Block, place: Workplace) -> None:
    """Every file that a tree names is there; the last column is about it."""
    root, *lines = block.text.splitlines()
    for line in lines:
        name = re.sub(r"^[├└─│ ]+", "", line).split()[0]
        assert (place.folder / root / name).exists(), f"{root}{name} is not there"


def check_manifest(block: Block, place: Workplace) -> None:
    """An example has the keys of what is exported today; tables are said to be optional."""
    exported = json.loads((place.folder / "runs/relay/bundles/agent-0/manifest.json").read_text())
    example = json.loads(block.text)
    assert set(example) | {"tables_sha256"} == set(exported) | {"tables_sha256"}
    assert {name: type(value) for name, value in example.items()} == {name: type(exported[name]) for name in example}


def check_preset(block: Block, place: Workplace) -> None:
    """A preset of a user's own resolves."""
    from trainer.training.preset import load_settings

    file = place.folder / "own.toml"
    file.write_text(block.text, encoding="utf-8")
    load_settings(str(file), [])


def check_campaign(block: Block, place: Workplace) -> None:
    """A campaign of a user's own resolves, with every key of it."""
    from heliograph.cli import main

    # By the name that it has, for the commands that follow it.
    file = place.folder / f"{tomllib.loads(block.text)['name']}.toml"
    file.write_text(block.text, encoding="utf-8")
    command = ["campaign", str(file), "--dry-run", "--out", str(place.folder / "nowhere")]
    assert main([*command, "--allow-environment", "my_package.my_env:make"]) == 0


CHECKS = {
    "a tree of files": check_tree,
    "a manifest": check_manifest,
    "a preset": check_preset,
    "a campaign": check_campaign,
}


def given_to(block: Block) -> str:
    """What a Python block goes on from: an earlier one of its document, and what a reader has by then."""
    entry = TREATMENTS.entry("python", block) or {}
    if "after" not in entry:
        return str(entry.get("given", ""))
    (before,) = (each for each in BLOCKS if each.document == block.document and each.name == entry["after"])
    return f"{before.text}\n{entry.get('given', '')}"


@pytest.mark.slow
@pytest.mark.timeout(1200)  # for a block of many commands; each of them has a deadline of its own
@pytest.mark.parametrize("block", BLOCKS, ids=[f"{block.document}: {block.name[:50]}" for block in BLOCKS])
def test_a_block_does_what_it_says(block: Block, workplace_of: Callable[[str], Workplace]):
    if (entry := TREATMENTS.entry("not_run", block)) is not None:
        pytest.skip(entry["why"])
    place = workplace_of(block.document)
    if (checked := TREATMENTS.entry("checked", block)) is not None:
        CHECKS[checked["as"]](block, place)
    elif block.language in SHELL:
        try:
            for command in block.commands:
                how = TREATMENTS.of_command(command)
                if how is not None and not how.shared:
                    place.command(how)
        finally:
            place.end_block()
    elif block.language in PYTHON:
        place.python(block, given=given_to(block))
    else:
        pytest.fail(f"this block of {block.document} is neither run nor listed in treatments.toml:\n{block.text}")


def test_the_list_is_of_what_the_documents_say():
    assert not list(TREATMENTS.unmatched(BLOCKS)), "these entries of treatments.toml match nothing"
    assert not list(TREATMENTS.dishonest()), "these entries do not shrink their command"


def test_exceptions_are_counted():
    assert len(TREATMENTS.not_run) <= TREATMENTS.document["not_run_at_most"]
    assert all(entry.get("why") for kind in ("not_run", "shrunk") for entry in TREATMENTS.document[kind])


def test_what_matches_nothing_or_leaves_an_option_out_is_told():
    listed = Treatments(
        document={
            "not_run": [{"command": "make tea", "why": "no kettle"}],
            "shrunk": [{"command": "heliograph run --links both", "as": "heliograph run --episodes 1"}],
            "checked": [],
            "python": [],
        }
    )
    block = Block(
        document="README.md", language="sh", text="heliograph run \\\n  --links both  # masked, too\n# nothing"
    )
    assert block.commands == ("heliograph run --links both",)
    assert set(listed.unmatched([block])) == {"[[not_run]] make tea"}
    assert len(list(listed.dishonest())) == 1
