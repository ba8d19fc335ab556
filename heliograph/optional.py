"""What is done beside the work proper, and must not cost it its results: plots, pages, logs for other programs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def optional(what: str) -> Iterator[None]:
    """Inside, any exception becomes a warning with its cause; `what` says what there is not, as "no learning curve".

    Imports belong inside, too: a package that is installed may be broken.  Ctrl-C passes.
    """
    try:
        yield
    except Exception as error:
        cause = str(error) or type(error).__name__
        logger.warning("%s: %s", what, cause if type(error).__name__ in cause else f"{type(error).__name__}: {cause}")
        logger.debug("that came from", exc_info=True)
