"""Which certificate a node takes of those that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_node.certificate_claim import claimed
from heliograph.certificates.folder import make_team, team
from heliograph.errors import SlotTaken


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_team(folder, team(2))
    return folder


def test_a_slot_finds_its_own_certificate(certificates: Path) -> None:
    with claimed(certificates / "slot-1", slot=None) as alone, claimed(certificates / "slot-1", slot=1) as named:
        assert alone == named == certificates / "slot-1"
    with claimed(certificates, slot=1) as below:
        assert below == certificates / "slot-1"


def test_replicas_share_the_certificates_of_a_team(certificates: Path) -> None:
    with claimed(certificates, slot=None) as first:
        assert first == certificates / "slot-0"
        with claimed(certificates, slot=None) as second:
            assert second == certificates / "slot-1"
            with pytest.raises(SlotTaken, match="all 2 certificates"), claimed(certificates, slot=None):
                pass
    with claimed(certificates, slot=None) as successor:
        assert successor == certificates / "slot-0"
