"""Every code block of README.md and docs/, fenced or indented, does what it says, or is listed with the reason.

What is for a shell or for Python is run, in order, as printed or smaller; an example of a file is compared with what
it is of.  `treatments.toml` lists what is run smaller, compared, or not run, and counts it.  The blocks of one document
are run one after the other in one folder, like a reader's.  Commands that are not run are looked at by
test_printed_commands.py.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from documents.blocks import PYTHON, SHELL, Block, blocks, blocks_of
from documents.treatments import Treatments
from documents.workplace import REPOSITORY, Workplace

BLOCKS = list(blocks(REPOSITORY))
TREATMENTS = Treatments.read()
TO_DO = [block for block in BLOCKS if TREATMENTS.has_to_do(block)]
RELAY = "heliograph train --preset relay --seed 1 --folder runs/relay"
"""The training whose run folder all documents speak of."""


@pytest.fixture(scope="session")
def relay_run(tmp_path_factory: pytest.TempPathFactory, warm_variables: dict[str, str]) -> Path:
    """The run folder of the README's training, shrunk."""
    pytest.importorskip("torch")
    training = TREATMENTS.of_command(RELAY, "README.md")
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


def check_tables(block: Block, place: Workplace) -> None:
    """An example has the shape of what is exported today."""
    exported = json.loads((place.folder / "runs/relay/bundles/agent-0/tables.json").read_text())
    example = json.loads(block.text)
    assert set(example) == set(exported)
    assert all(type(count) is int for rows in (example, exported) for row in rows["counts"] for count in row)


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
    "tables": check_tables,
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
@pytest.mark.parametrize("block", TO_DO, ids=[f"{block.document}: {block.name[:50]}" for block in TO_DO])
def test_a_block_does_what_it_says(block: Block, workplace_of: Callable[[str], Workplace]):
    place = workplace_of(block.document)
    if (checked := TREATMENTS.entry("checked", block)) is not None:
        CHECKS[checked["as"]](block, place)
    elif block.language in SHELL:
        try:
            for how in TREATMENTS.runs(block):
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
    assert not list(TREATMENTS.miscounted(BLOCKS)), "run what is new, or count it in treatments.toml"
    counts = TREATMENTS.counts(BLOCKS)
    assert counts == {name: TREATMENTS.document[name] for name in counts}
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
    assert set(listed.unmatched([block])) == {"not_run: make tea"}
    assert len(list(listed.dishonest())) == 1


def test_a_kind_of_commands_is_of_its_folder_and_counted():
    kind = {"begins": ["docker"], "under": "docs/deploy.md", "count": 1, "why": "needs Docker"}
    listed = Treatments(document={"not_run": [kind], "shrunk": []})
    text = "docker kill node\nTAG=1 docker compose up\npython -V"
    (deploy,) = blocks_of(textwrap.indent(text, "    "), document="docs/deploy.md")
    elsewhere = dataclasses.replace(deploy, document="README.md")
    assert [how.run for how in listed.runs(deploy)] == ["python -V"]
    assert len(listed.runs(elsewhere)) == 3
    assert list(listed.miscounted([deploy, elsewhere])) == ["['docker']: 2 instead of 1"]
    assert listed.counts([deploy, elsewhere]) == {"not_run_commands": 2, "not_run_blocks": 0, "shrunk_commands": 0}


def test_blocks_are_fenced_or_indented_from_where_they_stand():
    text = """
Words,
    which go on

    heliograph run   # a comment

- an item
    that goes on

      TAG=1 docker compose up \\
        --detach

  ```py
  import torch
  ```

      what is this
"""
    found = list(blocks_of(text, document="README.md"))
    assert [(block.language, block.name) for block in found] == [
        ("sh", "heliograph run"),
        ("sh", "TAG=1 docker compose up \\"),
        ("py", "import torch"),
        ("", "what is this"),
    ]
    assert found[1].commands == ("TAG=1 docker compose up --detach",)
    listed = Treatments(document={"not_run": [], "shrunk": []})
    assert all(listed.has_to_do(block) for block in found), "what is of no known language must fail, not go unseen"
