"""Which parameters make an environment another one than its name stands for.  Makes no environment.

May be imported by `coordinator` and `trainer`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from typing import Any

from heliograph.environments.catalogue import CATALOGUE
from heliograph.errors import SettingsError
from heliograph.settings import resolve


def changed_or_all(environment: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """`changed_parameters`; of another version's environment, whose parameters this one does not take, all of them."""
    try:
        return changed_parameters(environment, parameters)
    except SettingsError:
        return dict(parameters)


def changed_parameters(environment: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `parameters` that differ from what the name stands for; all of them for an import path.

    Raises SettingsError for a wrong parameter.
    """
    entry = CATALOGUE.get(environment)
    if entry is None or not entry.settings:
        return dict(parameters)
    model = pkgutil.resolve_name(entry.settings)
    source = f"parameters of {environment}"
    usual = resolve(model, entry.defaults, source=source).model_dump(mode="json")
    given = resolve(model, {**entry.defaults, **parameters}, source=source).model_dump(mode="json")
    return {name: value for name, value in given.items() if value != usual[name]}
