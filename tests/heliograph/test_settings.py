"""Settings: frozen, strict, with errors that name the key and the valid ones; overrides and TOML files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from heliograph.errors import SettingsError
from heliograph.settings import Settings, merge, parse_override, read_toml, resolve


class Inner(Settings):
    rate: Annotated[float, Field(gt=0)] = 0.1
    layers: int = 2


class Outer(Settings):
    name: str = "mamba"
    inner: Inner = Inner()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        Outer().name = "other"  # type: ignore[misc]


def test_values_are_resolved_with_defaults() -> None:
    settings = resolve(Outer, {"inner": {"layers": 3}}, source="preset")
    assert (settings.name, settings.inner.rate, settings.inner.layers) == ("mamba", 0.1, 3)


def test_every_wrong_key_is_named_with_the_valid_ones_of_its_table() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(Outer, {"nmae": "x", "inner": {"rat": 1}}, source="preset demo")
    message = str(caught.value)
    assert message.startswith("preset demo: ")
    assert "unknown key nmae (valid here: inner, name)" in message
    assert "unknown key inner.rat (valid here: layers, rate)" in message


def test_a_value_out_of_range_is_shown() -> None:
    with pytest.raises(SettingsError, match=r"inner\.rate: .*greater than 0.*\(got -1\)"):
        resolve(Outer, {"inner": {"rate": -1}}, source="preset")


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_no_number_is_infinite_for_json_has_no_word_for_it(number: float) -> None:
    with pytest.raises(SettingsError, match=r"inner\.rate: Input should be a finite number"):
        resolve(Outer, {"inner": {"rate": number}}, source="preset")


def test_settings_that_do_not_fit_together_are_told_in_one_sentence_without_all_of_them() -> None:
    class Window(Settings):
        rows: int = 8
        horizon: int = 5

        @pydantic.model_validator(mode="after")
        def _fit(self) -> Window:
            if self.horizon >= self.rows:
                raise ValueError("horizon has to be below rows")
            return self

    class Whole(Settings):
        window: Window = Window()

    with pytest.raises(SettingsError) as caught:
        resolve(Whole, {"window": {"horizon": 9}}, source="preset demo")
    assert str(caught.value) == "preset demo: window: horizon has to be below rows"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("a=1", ["a"], 1),
        ("a.b = 2.5", ["a", "b"], 2.5),
        ("a.b.c=true", ["a", "b", "c"], True),
        ("a=[1, 2]", ["a"], [1, 2]),
        ('a="1"', ["a"], "1"),
        ("a=relay", ["a"], "relay"),
        ("a=mpe2.simple_spread_v3", ["a"], "mpe2.simple_spread_v3"),
        ("a=x=y", ["a"], "x=y"),
        ("a=", ["a"], ""),
        ("a={x = 1}", ["a"], {"x": 1}),
        ("a=1\nb = 2", ["a"], "1\nb = 2"),
        ("a=" + "9" * 5000, ["a"], "9" * 5000),
        ("a=" + "[" * 100_000, ["a"], "[" * 100_000),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_an_override_is_a_path_and_a_toml_value_or_a_word(text: str, path: list[str], value: object) -> None:
    assert parse_override(text) == (path, value)


@given(st.text())
@example("=")
@example(".=1")
@example("a..b=1")
def test_any_other_text_is_an_override_or_a_settings_error(text: str) -> None:
    key, separator, _ = text.partition("=")
    if separator and all(part.strip() for part in key.split(".")):
        assert parse_override(text)[0] == [part.strip() for part in key.split(".")]
    else:
        with pytest.raises(SettingsError, match=re.escape(repr(text))):
            parse_override(text)


def test_overrides_are_written_in_order_and_leave_the_base_alone() -> None:
    base = {"name": "x", "inner": {"layers": 1}}
    assert merge(base, ["inner.layers=2", "inner.rate=0.5", "name=y", "inner.layers=3"]) == {
        "name": "y",
        "inner": {"layers": 3, "rate": 0.5},
    }
    assert base == {"name": "x", "inner": {"layers": 1}}


def test_an_override_cannot_reach_into_a_value() -> None:
    with pytest.raises(SettingsError, match="name is a value, not a table"):
        merge({"name": "x"}, ["name.first=1"])


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "preset.toml"
    path.write_text('name = "x"\n[inner]\nlayers = 4\n')
    assert resolve(Outer, read_toml(path), source=str(path)).inner.layers == 4


@pytest.mark.parametrize(
    "content",
    [b"name = ", b"\xff\xfe", b"a = 1\na = 2", b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000],
    ids=["no value", "not UTF-8", "twice", "huge", "deep"],
)
def test_a_malformed_toml_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken\.toml is not (valid TOML|UTF-8)"):
        read_toml(path)


def test_a_missing_toml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml does not exist"):
        read_toml(tmp_path / "nowhere.toml")
