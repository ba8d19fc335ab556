"""What all tests share: Hypothesis without deadlines, Ctrl-C for children, and PettingZoo's own test."""

from __future__ import annotations

import importlib
import signal
import warnings
from collections.abc import Callable

import pytest
from hypothesis import settings

# A loaded machine is no fault of the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")

# A shell starts what it runs in the background with SIGINT ignored, and children inherit that; a test that
# presses Ctrl-C for a child of its own would wait for nothing.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def parallel_api_test() -> Callable[..., None]:
    """PettingZoo's own conformance test of parallel environments."""
    with warnings.catch_warnings():
        # PettingZoo's test package imports environments of its own through an interface that it has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("pettingzoo.test").parallel_api_test
