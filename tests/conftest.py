"""What all tests share: Hypothesis without deadlines, because a loaded machine is no fault of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")
