"""What all tests share: Hypothesis without deadlines, and PettingZoo's own test."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import pytest
from hypothesis import settings

# A loaded machine is no fault of the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")


@pytest.fixture(scope="session")
def parallel_api_test() -> Callable[..., None]:
    """PettingZoo's own conformance test of parallel environments."""
    with warnings.catch_warnings():
        # PettingZoo's test package imports environments of its own through an interface that it has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("pettingzoo.test").parallel_api_test
