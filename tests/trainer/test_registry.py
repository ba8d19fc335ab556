"""The registry: what is known of an algorithm without torch, settings with its sections alone, and foreign entries."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest
import torch

from heliograph.environments import registry as registry_of_worlds
from heliograph.errors import SettingsError
from trainer.algorithms import registry
from trainer.algorithms.interfaces import MessagingAlgorithm
from trainer.algorithms.registry import ALGORITHMS, algorithm_entry, known_algorithms
from trainer.training.preset import load_settings
from trainer.training.settings import read_settings, resolve_settings, settings_class

WORLD = {
    "environment": {"id": "relay"},
    "schedule": {"env_steps": 9, "steps_per_iteration": 1},
    "replay": {"window": 15},  # as long as MARIE's context
}


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of other distributions: one that is broken, one that is none, one with the name of ours."""
    points = {"broken": "no.such.module:ENTRY", "none": "json:dumps", "mamba": "json:dumps"}
    found = EntryPoints(EntryPoint(name, value, registry.GROUP) for name, value in points.items())
    monkeypatch.setattr(registry, "entry_points", lambda group: found.select(group=group))
    registry._brought.cache_clear()
    yield
    registry._brought.cache_clear()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_entry_names_a_class_of_that_name_and_settings_with_defaults(name: str) -> None:
    entry = algorithm_entry(name)
    assert entry.load().name == name
    assert entry.inherits.keys() <= set().union(*(algorithm_entry(other).sections for other in ALGORITHMS))
    for section in entry.sections:
        assert entry.settings_of(section)() == getattr(
            resolve_settings({"algorithm": name, **WORLD}, source=""), section
        )


def test_settings_have_the_sections_of_their_algorithm_alone() -> None:
    mag = load_settings("mag-relay", [])
    assert [type(section).__name__ for section in mag.sections()] == ["MambaSettings", "MagSettings"]
    assert {"mamba", "mag"} == set(mag.model_dump()) & {
        each for name in ALGORITHMS for each in algorithm_entry(name).sections
    }
    assert settings_class("mag") is type(mag)


def test_a_settings_file_with_every_section_loads_while_the_others_say_nothing(tmp_path: Path) -> None:
    sections = {
        each: algorithm_entry(name).settings_of(each)()
        for name in ALGORITHMS
        for each in algorithm_entry(name).sections
    }
    document = WORLD | {"algorithm": "mabl"} | {name: each.model_dump(mode="json") for name, each in sections.items()}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(document))
    assert read_settings(file) == resolve_settings(WORLD | {"algorithm": "mabl"}, source="")
    document["mappo"]["hidden"] += 1
    file.write_text(json.dumps(document))
    with pytest.raises(SettingsError, match="mappo is set, which mabl does not read"):
        read_settings(file)
    document["mappo"] = {"width": 3}
    file.write_text(json.dumps(document))
    with pytest.raises(SettingsError, match=r"mappo: unknown key width \(valid here: hidden"):
        read_settings(file)


def test_another_algorithm_over_a_preset_leaves_out_what_it_does_not_read() -> None:
    relay = load_settings("relay", [])
    other = load_settings("relay", ["algorithm=mappo", "mappo.hidden=7"])
    assert (other.environment, other.schedule) == (relay.environment, relay.schedule)
    assert other.mappo.hidden == 7
    assert load_settings("mag-relay", ["algorithm=mamba"]).mamba == load_settings("mag-relay", []).mamba


def test_what_an_algorithm_inherits_leaves_misspelt_settings_to_be_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "relay"\n[mamba]\nmodel_udpates = 3\n')
    with pytest.raises(SettingsError, match=r"unknown key mabl\.model_udpates"):
        load_settings(str(file), ["algorithm=mabl"])
    file.write_text('base = "relay"\nalgorithm = "mamba"\n[mappo]\nhidden = 3\n')
    with pytest.raises(SettingsError, match="mappo is set, which mamba does not read"):
        load_settings(str(file), [])


def test_an_unknown_algorithm_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="no algorithm 'mambo'") as caught:
        load_settings("relay", ["algorithm=mambo"])
    assert caught.value.remedy is not None
    assert caught.value.remedy.startswith("Did you mean mamba")
    assert "attention-ppo" in caught.value.remedy
    with pytest.raises(SettingsError, match="algorithm 3 is no name"):
        load_settings("relay", ["algorithm=3"])


@pytest.mark.slow
def test_whoever_exchanges_messages_says_so_and_nobody_else() -> None:
    spec, found = registry_of_worlds.make("relay", count=1).spec, {}
    for name in ALGORITHMS:
        settings = load_settings("relay", [f"algorithm={name}"])
        found[name] = algorithm_entry(name).load()(*settings.sections(), spec, device=torch.device("cpu"))
    talking = {name for name, algorithm in found.items() if isinstance(algorithm, MessagingAlgorithm)}
    assert talking == {name for name, algorithm in found.items() if algorithm.step_function(0).message is not None}
    assert talking == {"mamba", "mag", "attention-ppo", "commnet", "tarmac"}
    assert all(found[name].message == found[name].step_function(0).message for name in talking)


@pytest.mark.usefixtures("foreign")
def test_a_broken_entry_of_another_distribution_is_told_and_ours_goes_before_theirs() -> None:
    assert known_algorithms() == (*ALGORITHMS, "broken", "none")
    with pytest.raises(SettingsError, match=r"'broken' cannot be loaded from no\.such\.module"):
        load_settings("relay", ["algorithm=broken"])
    with pytest.raises(SettingsError, match="its entry is a function"):
        load_settings("relay", ["algorithm=none"])
    assert load_settings("relay", []).algorithm == "mamba"


@pytest.mark.slow
def test_settings_of_every_algorithm_resolve_without_torch() -> None:
    program = (
        "import sys\n"
        "from trainer.algorithms.registry import ALGORITHMS\n"
        "from trainer.training.preset import load_settings\n"
        "for name in ALGORITHMS: load_settings('relay', [f'algorithm={name}'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'grpc', 'onnxruntime'}))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "[]"
