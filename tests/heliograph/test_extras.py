"""What is said where a package is missing: one sentence, with a command for a release and one for a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

import heliograph
from heliograph.errors import MissingExtra
from heliograph.extras import extra

PACKAGES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
LISTED = {
    "extras.py",  # the sentence itself
    "catalogue.py",  # SMAC takes more than an extra: its commands are listed one by one
    "registry.py",  # as are those of the others
}


def test_who_lacks_a_package_is_told_its_extra_and_both_commands() -> None:
    with (
        pytest.raises(MissingExtra) as told,
        extra("observe", packages={"no_such_package"}, purpose="serving metrics", otherwise="; tables do without"),
    ):
        import no_such_package.part  # noqa: F401
    assert str(told.value) == (
        "serving metrics needs no_such_package, which is not installed. Install the extra observe: "
        "pip install 'heliograph[observe]', or in a checkout pip install '.[observe]'; tables do without"
    )


def test_a_package_of_another_name_is_missing_as_it_was() -> None:
    with pytest.raises(ModuleNotFoundError), extra("observe", packages={"another"}, purpose="serving metrics"):
        import no_such_package  # noqa: F401


@pytest.mark.parametrize("named", [True, False], ids=["by its module", "by nobody"])
def test_a_package_that_is_installed_and_broken_is_told_with_its_cause(
    named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "libfreetype.so.6: cannot open shared object file"
    (tmp_path / "broken_package").mkdir()
    name = ", name='broken_package._native'" if named else ""
    (tmp_path / "broken_package" / "__init__.py").write_text(f"raise ImportError({said!r}{name})")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra) as told, extra("x", packages={"broken_package"}, purpose="drawing"):
        import broken_package
    assert str(told.value) == (
        f"drawing needs broken_package, which is installed and cannot be imported: {said}. "
        "Install it again, or what it lacks"
    )
    with pytest.raises(ImportError, match="libfreetype"), extra("x", packages={"another"}, purpose="drawing"):
        import broken_package  # noqa: F401


def test_nobody_writes_that_sentence_by_hand() -> None:
    root = Path(heliograph.__file__).parents[1]
    by_hand = {
        path.name
        for package in PACKAGES
        for path in (root / package).rglob("*.py")
        if "pip install 'heliograph[" in path.read_text(encoding="utf-8")
    }
    assert by_hand == LISTED
