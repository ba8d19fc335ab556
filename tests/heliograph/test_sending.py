"""What a bundle says of the messages that its agent withholds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_bundle import scripted_bundle

from heliograph import bundle as bundles
from heliograph.codecs.message_format import MessageFormat
from heliograph.errors import BundleCorrupt, BundleMismatch
from heliograph.manifest import PREFIX_VERSION, SENDING_VERSION, Manifest
from heliograph.sending import Sending

UNSIGNED = scripted_bundle(slot=1, team_size=3)
WITHHOLDING = {"format_version": SENDING_VERSION, "sending": {"heartbeat": 4, "changes": 1}}


def test_a_bundle_that_withholds_messages_is_of_another_version_and_says_when() -> None:
    data = json.dumps(json.loads(UNSIGNED.manifest_bytes) | WITHHOLDING).encode()
    manifest = Manifest.from_bytes(data)
    assert manifest.sending == Sending(heartbeat=4, changes=1)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert b"sending" not in UNSIGNED.manifest_bytes, "bundles that send at every step are as they always were"


def test_bundles_that_withhold_by_different_rules_are_no_team(tmp_path: Path) -> None:
    for slot, heartbeat in enumerate((4, 5)):
        bundle = scripted_bundle(slot=slot, team_size=2)
        sending = Sending(heartbeat=heartbeat, changes=1)
        manifest = replace(bundle.manifest, format_version=SENDING_VERSION, sending=sending)
        bundles.make(manifest, bundle.graph).save(tmp_path / f"agent-{slot}")
    with pytest.raises(BundleMismatch, match="slot 0 and slot 1 withhold messages by different rules"):
        bundles.load_team(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format_version": SENDING_VERSION}, "format version 2 is of bundles with sending"),
        ({"sending": {"heartbeat": 4, "changes": 1}}, "sending belongs to format version 2, this is 1"),
        (WITHHOLDING | {"sending": {"heartbeat": 1, "changes": 0}}, "sending.heartbeat"),
        (WITHHOLDING | {"sending": {"heartbeat": 4}}, "sending.changes is missing"),
        (WITHHOLDING | {"message": None}, "sends no messages"),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(change: dict[str, Any], complaint: str) -> None:
    data = json.dumps(json.loads(UNSIGNED.manifest_bytes) | change).encode()
    with pytest.raises(BundleCorrupt, match=complaint):
        Manifest.from_bytes(data)


def test_a_message_is_withheld_while_it_is_much_as_the_last_one_and_none_is_due() -> None:
    rule, last = Sending(heartbeat=3, changes=1), np.zeros(4, dtype=np.int32)
    assert rule.withholds(np.array([0, 0, 1, 0], dtype=np.int32), last, steps=2)
    assert not rule.withholds(np.array([0, 1, 1, 0], dtype=np.int32), last, steps=1)
    assert not rule.withholds(last, last, steps=3)
    assert [rule.is_due(steps=steps) for steps in (1, 2, 3, 4)] == [False, False, True, True]


FIRST_IDS = {"format_version": PREFIX_VERSION, "message": {"categoricals": 4, "classes": 9, "prefix": True}}


@pytest.mark.parametrize("more", [{}, {"sending": {"heartbeat": 4, "changes": 1}}], ids=["always", "withheld"])
def test_a_bundle_whose_messages_are_first_ids_is_of_the_third_version(more: dict[str, Any]) -> None:
    manifest = Manifest.from_bytes(json.dumps(json.loads(UNSIGNED.manifest_bytes) | FIRST_IDS | more).encode())
    assert manifest.message == MessageFormat(categoricals=4, classes=9, prefix=True)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    assert b"prefix" not in UNSIGNED.manifest_bytes, "bundles whose messages are whole are as they always were"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (FIRST_IDS | {"format_version": 1}, "message.prefix belongs to format version 3, this is 1"),
        (FIRST_IDS | {"format_version": 2}, "message.prefix belongs to format version 3, this is 2"),
        ({"format_version": PREFIX_VERSION}, "format version 3 is of bundles with predicts or message.prefix"),
        (FIRST_IDS | {"message": {"categoricals": 4, "classes": 2, "prefix": True}}, "message.classes is 2"),
        (FIRST_IDS | {"message": {"categoricals": 4, "classes": 9, "prefix": 1}}, "message.prefix is 1"),
    ],
)
def test_first_ids_that_make_no_sense_are_named(change: dict[str, Any], complaint: str) -> None:
    data = json.dumps(json.loads(UNSIGNED.manifest_bytes) | change).encode()
    with pytest.raises(BundleCorrupt, match=complaint):
        Manifest.from_bytes(data)
