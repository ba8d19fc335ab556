"""The campaigns that come with the project: each resolves, and their variants are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.campaign.grid import cells_of
from analysis.campaign.planning import Plan, plans_of
from analysis.campaign.settings import read_campaign
from heliograph.cli import main
from heliograph.environments.permission import CATALOGUE_ONLY

FOLDER = Path(__file__).parents[2] / "campaigns"
FILES = sorted(path.name for path in FOLDER.glob("*.toml"))


def plans(name: str) -> list[Plan]:
    return plans_of(cells_of(read_campaign(FOLDER / name)), permission=CATALOGUE_ONLY, source=name)


@pytest.mark.parametrize("name", FILES)
def test_it_resolves_and_no_two_cells_are_the_same_training(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = plans(name)
    trainings = [(plan.cell.world, plan.digest) for plan in found]
    assert len(set(trainings)) == len(trainings)
    assert all(plan.env_steps > 0 for plan in found)
    assert main(["campaign", str(FOLDER / name), "--dry-run", "--out", str(tmp_path / "out")]) == 0
    assert f"{len(found)} cells" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("ablation-")])
def test_a_variant_is_another_training_in_what_it_names_alone(name: str) -> None:
    found = {plan.cell.name: plan for plan in plans(name)}
    for plan in found.values():
        if plan.cell.variant is None:
            continue
        plain = found[f"{plan.cell.world}/{plan.cell.method}"]
        changed = {key for key, value in plan.settings.items() if plain.settings[key] != value}
        assert changed, f"{plan.cell.name} is {plain.cell.name}"
        assert all(key.startswith((f"{plan.cell.method}.", "mamba.")) for key in changed)


def test_what_messages_are_worth_is_asked_in_every_world_of_every_team() -> None:
    found = {(plan.cell.world, plan.cell.label): plan for plan in plans("messages.toml")}
    worlds = {"relay", "traffic-junction-easy", "predator-prey-3", "smax-3m-fog", "bottleneck"}
    assert set(found) == {(world, label) for world in worlds for label in ("mamba", "mamba/silent", "tarmac", "mappo")}
    for (world, label), plan in found.items():
        assert plan.cell.evaluation.permuted
        assert plan.settings["environment.id"].endswith(world)
        if label.startswith("mamba"):
            silent = label.endswith("silent")
            assert plan.settings["mamba.model.communication"] == ("none" if silent else "ego")
