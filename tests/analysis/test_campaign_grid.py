"""The grid of a campaign: what a file stands for, and what is refused before anything is begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.campaign.grid import cells_of, chosen, runs_of
from analysis.campaign.planning import Plan, comparable, differences, goes_further, plans_of
from analysis.campaign.settings import CampaignSettings, read_campaign
from heliograph.cli import main
from heliograph.environments.permission import CATALOGUE_ONLY
from heliograph.errors import SettingsError, UnknownEnvironment
from trainer.training.planned import plan

FILE = """
name = "try"
baseline = "mappo"
seeds = "0-1"

[evaluation]
episodes = 50

[worlds.sighted]
preset = "{method}-relay-sighted"
env_steps = 1_000
settings = { evaluation.every = 3, checkpoint_minutes = 1.0 }

[worlds.signal]
preset = "{method}-relay"
cpu_minutes = 5
episodes = 7

[methods.mamba]
presets = { sighted = "relay-sighted", signal = "relay-signal" }
settings.evaluation.every = 4
on.sighted = { env_steps = 500, seeds = [7], settings = { evaluation.every = 5 } }

[methods.mappo]
worlds = ["sighted"]

[variants.dropout]
settings.mamba.model.dropout = 0.2
methods = ["mamba"]

[sweeps.clip]
values.mappo.ppo = { clip = [0.1, 0.2], epochs = [1, 2] }
names = { "mappo.ppo.epochs" = "e" }
methods = ["mappo"]
"""


def campaign(text: str, tmp_path: Path) -> CampaignSettings:
    path = tmp_path / "campaign.toml"
    path.write_text(text)
    return read_campaign(path)


def plans(text: str, tmp_path: Path) -> dict[str, Plan]:
    found = plans_of(cells_of(campaign(text, tmp_path)), permission=CATALOGUE_ONLY, source="campaign")
    return {each.cell.name: each for each in found}


def test_a_file_stands_for_worlds_methods_variants_and_seeds(tmp_path: Path) -> None:
    cells = cells_of(campaign(FILE, tmp_path))
    assert {cell.name: cell.seeds for cell in cells} == {
        "sighted/mamba": (7,),
        "sighted/mamba+dropout": (7,),
        "sighted/mappo": (0, 1),
        "sighted/mappo+clip=0.1,e=1": (0, 1),
        "sighted/mappo+clip=0.1,e=2": (0, 1),
        "sighted/mappo+clip=0.2,e=1": (0, 1),
        "sighted/mappo+clip=0.2,e=2": (0, 1),
        "signal/mamba": (0, 1),
        "signal/mamba+dropout": (0, 1),
    }
    assert [cell.evaluation.episodes for cell in cells[-3:]] == [50, 7, 7]
    names = [run.name for run in runs_of(cells)]
    assert len(names) == len(set(names)) == 16
    assert names[0] == "sighted/mamba/seed-7"
    first = [name for name in names if name.endswith(("seed-0", "seed-7"))]
    assert names[: len(first)] == first, "the first seed of all before the second of any"


def test_what_is_nearer_wins_and_a_budget_is_all_there_is(tmp_path: Path) -> None:
    found = plans(FILE, tmp_path)
    here, there, mappo = found["sighted/mamba"], found["signal/mamba"], found["sighted/mappo"]
    assert [each.settings["evaluation.every"] for each in (here, there, mappo)] == [5, 4, 3]
    assert [each.env_steps for each in (here, mappo)] == [500, 1_000]
    assert (there.minutes, there.cpu_minutes) == (0.0, 5.0)
    assert there.env_steps == plan("relay-signal", {}).settings["schedule"]["env_steps"], (
        "the preset's, as none is said"
    )
    assert found["sighted/mamba+dropout"].settings["mamba.model.dropout"] == 0.2
    assert found["sighted/mappo+clip=0.2,e=1"].settings["mappo.ppo.clip"] == 0.2
    assert here.digest != found["sighted/mamba+dropout"].digest


def test_a_variant_may_have_settings_in_one_world_alone(tmp_path: Path) -> None:
    text = FILE.replace("[variants.dropout]", "[variants.dropout]\non.signal.schedule.cpu_minutes = 1")
    found = plans(text, tmp_path)
    assert [found[f"{world}/mamba+dropout"].cpu_minutes for world in ("sighted", "signal")] == [0, 1]
    assert found["signal/mamba"].cpu_minutes == 5
    assert found["signal/mamba+dropout"].settings["mamba.model.dropout"] == 0.2


def test_a_part_is_chosen_by_name(tmp_path: Path) -> None:
    cells = cells_of(campaign(FILE, tmp_path))
    found = chosen(cells, ["world=sighted", "method=mappo", "variant=clip=0.1,e=1", "variant=clip=0.1,e=2", "seed=1"])
    assert [run.name for run in runs_of(found)] == [
        "sighted/mappo+clip=0.1,e=1/seed-1",
        "sighted/mappo+clip=0.1,e=2/seed-1",
    ]
    assert [cell.label for cell in chosen(cells, ["label=mamba", "world=signal"])] == ["mamba"]


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ("world=singal", "--only world=singal: the campaign has none. Did you mean signal"),
        ("seed=5", "--only seed=5: the campaign has none"),
        ("map=3m", "--only 'map=3m' is not of the form world=…"),
    ],
)
def test_a_part_that_is_not_there_is_said(tmp_path: Path, only: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        chosen(cells_of(campaign(FILE, tmp_path)), [only])
    assert said in str(caught.value)


def test_the_file_may_follow_an_option_that_takes_several_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(FILE)
    shown = []
    for words in ([str(path), "--only", "method=mappo"], ["--only", "method=mappo", str(path)]):
        assert main(["campaign", *words, "--dry-run", "--out", str(tmp_path / "out")]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "mappo" in shown[0]
    assert "mamba" not in shown[0]


@pytest.mark.parametrize(
    "only", [["world=signal", "method=mappo"], ["label=mamba", "variant=dropout"], ["seed=7", "world=signal"]]
)
def test_parts_that_no_run_has_together_are_refused(tmp_path: Path, only: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        chosen(cells_of(campaign(FILE, tmp_path)), only)
    assert f"--only {' '.join(only)}: the campaign has no run that is all of this" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "vain"),
    [
        (
            "[variants.dropout]",
            "[variants.dropout]\nworlds = ['sighted']\non.signal.threads = 1",
            "variants.dropout.on.signal",
        ),
        ('methods = ["mamba"]', 'methods = ["mappo"]\non.signal.threads = 1', "variants.dropout.on.signal"),
        ('methods = ["mamba"]', 'methods = ["mappo"]\nworlds = ["signal"]', "variants.dropout"),
        ('methods = ["mamba"]', 'methods = ["mappo", "mamba"]\nworlds = ["signal"]', "variants.dropout.methods: mappo"),
        ("[methods.mappo]", "[methods.mappo]\non.signal.env_steps = 9", "methods.mappo.on.signal"),
        ("[methods.mappo]", "[methods.mappo]\npresets.signal = 'relay-signal'", "methods.mappo.presets.signal"),
        ("episodes = 7", "methods = ['mappo']", "worlds.signal"),
        ("episodes = 7", "methods = ['mamba', 'mappo']", "worlds.signal.methods: mappo"),
        ("[methods.mamba]", "[methods.other]\nworlds = ['signal']\n[methods.mamba]", None),
        ("[sweeps.clip]", "[sweeps.clip]\nworlds = ['signal']", "sweeps.clip"),
        ("[sweeps.clip]", "[sweeps.clip]\nworlds = ['signal', 'sighted']", "sweeps.clip.worlds: signal"),
    ],
)
def test_what_is_said_of_runs_that_there_are_not_is_refused(
    tmp_path: Path, old: str, new: str, vain: str | None
) -> None:
    assert FILE.count(old) == 1
    text = FILE.replace(old, new)
    if vain is None:
        assert "signal/other" in {cell.name for cell in cells_of(campaign(text, tmp_path))}
        return
    with pytest.raises(SettingsError) as caught:
        cells_of(campaign(text, tmp_path))
    assert f"campaign try: {vain} has no effect, for no run is of that" in str(caught.value)


MINIMAL = 'name = "a"\n[worlds.w]\npreset = "{method}-relay"\n[methods.mappo]\n'


def test_what_a_file_leaves_out_is_three_seeds_and_no_variant(tmp_path: Path) -> None:
    (cell,) = cells_of(campaign(MINIMAL, tmp_path))
    assert (cell.name, cell.seeds) == ("w/mappo", (0, 1, 2))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "name: Field required"),
        (MINIMAL + 'worlds = ["v"]', "methods.mappo.worlds names v, and there is w"),
        (MINIMAL + "[variants.x]\nsettings = {}\nmethods = ['q']", "variants.x.methods names q, and there is mappo"),
        (MINIMAL.replace("preset", "presett"), "unknown key worlds.w.presett (valid here: cpu_minutes,"),
        (MINIMAL.replace("{method}", "{world}"), "only {method} may stand in braces"),
        (MINIMAL.replace('"a"', '"../a"'), "'../a' is no name of letters"),
        (MINIMAL.replace("worlds.w", 'worlds."a/b"'), "'a/b' is no name of letters"),
        (MINIMAL.replace("name", 'seeds = "0-1000000"\nname'), "seeds '0-1000000' are none, or more than 1000"),
        (MINIMAL.replace("name", 'baseline = "mapo"\nname'), "the baseline 'mapo' is none of its methods"),
        (
            MINIMAL + "".join(f"[sweeps.s{n}.values]\n" + f"a{n} = {list(range(1000))}\n" for n in range(1)),
            "",
        ),
        (
            MINIMAL + "[sweeps.s.values]\n" + "".join(f"{name} = {list(range(100))}\n" for name in "abc"),
            "campaign a comes to 1,000,001 runs, and 10,000 are the most",
        ),
        (MINIMAL.replace("name", 'seeds = "0-999"\nname') + f"[sweeps.s.values]\na = {list(range(11))}", "12,000 runs"),
        (MINIMAL + "[variants.x]\nsettings = {}\non.q = {}", "variants.x.on names q, and there is w"),
        (MINIMAL + "[variants.'a=1']\nsettings = {}\n[sweeps.s]\nvalues.a = [1]", "w/mappo+a=1 is there twice"),
        (MINIMAL + "[sweeps.s]\nvalues = {'a' = [1], 'a.b' = [2]}", "a.b is within another setting"),
        (
            MINIMAL + "[sweeps.s]\nvalues = {'a.b' = [1], 'a' = [2]}",
            "a is within another setting, or another within it",
        ),
        (MINIMAL + f"[sweeps.s]\nvalues.a = ['{'x' * 200}']", "has more than 200 characters"),
        (MINIMAL.replace("name", "plain = false\nname"), "has no runs"),
        ("name = 3 = 4", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_begun(tmp_path: Path, text: str, said: str) -> None:
    if not said:
        assert len(cells_of(campaign(text, tmp_path))) == 1001
        return
    with pytest.raises(SettingsError) as caught:
        cells_of(campaign(text, tmp_path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ("preset = 'mapo'", SettingsError, "campaign, mappo in w: unknown preset 'mapo-relay'. Did you mean m"),
        (
            "settings.mappo.epoch = 3",
            SettingsError,
            "campaign, mappo in w: settings over preset mappo-relay: unknown key",
        ),
        ("settings.environment.id = 'rely'", UnknownEnvironment, "there is no environment 'rely'"),
    ],
)
def test_an_unknown_method_setting_or_world_is_said(
    tmp_path: Path, more: str, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind) as caught:
        plans(MINIMAL + more, tmp_path)
    assert said in str(caught.value)


def test_trainings_agree_by_what_makes_them_what_they_are(tmp_path: Path) -> None:
    found = plans(FILE, tmp_path)["sighted/mappo"]
    same = dict(found.settings)
    assert differences(same, found) == []
    del same["mappo.ppo.clip"]  # as if it was of a version before that setting
    assert differences(same, found) == [], "a new setting at its default stands for what was before it"
    other = found.settings | {"mappo.ppo.clip": 0.3}
    assert [str(each) for each in differences(other, found)] == ["mappo.ppo.clip 0.3, not 0.2"]
    gone = found.settings | {"mappo.ppo.magic": 1}
    assert [str(each) for each in differences(gone, found)] == ["mappo.ppo.magic 1, not absent"]
    changed = plans(FILE.replace("every = 3", "every = 6"), tmp_path)["sighted/mappo"]
    without = {key: value for key, value in found.settings.items() if key != "evaluation.every"}
    assert [each.setting for each in differences(without, changed)] == ["evaluation.every"]


def test_only_a_longer_budget_is_the_same_training_that_goes_further(tmp_path: Path) -> None:
    found = plans(FILE, tmp_path)["sighted/mappo"]
    further = plans(FILE.replace("1_000", "2_000"), tmp_path)["sighted/mappo"]
    assert goes_further(found.settings, further)
    assert not goes_further(further.settings, found)
    assert not goes_further(found.settings, found)
    assert not goes_further(found.settings | {"mappo.ppo.clip": 0.3}, further)
    assert not goes_further(found.settings | {"schedule.env_steps": "few"}, further), "a result may be of anybody"
    without = {key: value for key, value in found.settings.items() if key != "schedule.env_steps"}
    assert not goes_further(without, further)


def test_the_machine_makes_no_other_training() -> None:
    here = comparable(plan("mappo-relay", {}).settings)
    there = comparable(plan("mappo-relay", {"threads": 4, "device": "cuda", "seed": 3}).settings)
    assert here == there
