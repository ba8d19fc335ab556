"""Variables for processes that tests start, in which they can import what lies beside the tests."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parent


def importing_test_modules() -> dict[str, str]:
    """This process's, with `tests` on the module path.

    The checkout comes first: `tests/heliograph`, a folder and no package, would else hide an editable install's.
    """
    places = [str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(places)}
