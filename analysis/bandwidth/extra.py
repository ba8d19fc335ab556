"""The optional packages of the report: matplotlib for plots, Jinja for the page."""

from __future__ import annotations

from contextlib import AbstractContextManager

from heliograph.extras import extra


def bandwidth_extra(purpose: str) -> AbstractContextManager[None]:
    """Turn a missing import of one of them inside the block into MissingExtra; `purpose` is what needs it."""
    return extra("bandwidth", packages={"matplotlib", "jinja2"}, purpose=purpose)
