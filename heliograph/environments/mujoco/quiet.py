"""Makes MuJoCo quiet: it writes its warnings to the terminal and to a file MUJOCO_LOG.TXT in the current folder.

For `heliograph.environments`; imports mujoco when it is called.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache

_logger = logging.getLogger(__name__)

_OF_NO_CONCERN = "is deprecated and will be removed in a future release"
"""Said of packages' own models whenever one is compiled; nothing here can change them."""


@cache
def quiet() -> None:
    """Load MuJoCo, and log its warnings from now on.  Raises ImportError where it is broken."""
    # Without a screen MuJoCo would look for one all the same, unless it is told before it is first imported.
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        os.environ.setdefault("MUJOCO_GL", "egl")
    import mujoco

    mujoco.set_mju_user_warning(_log_warning)


def _log_warning(text: str) -> None:
    level = logging.DEBUG if _OF_NO_CONCERN in text else logging.WARNING
    _logger.log(level, "mujoco warns text=%r", text)
