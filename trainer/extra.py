"""What the extra `trainer` installs, and the sentence for those who lack it.  Imports none of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.errors import MissingExtra

PACKAGES = frozenset({"torch", "onnx", "onnxscript", "safetensors", "tensorboard", "matplotlib"})


@contextmanager
def trainer_extra(purpose: str) -> Iterator[None]:
    """Turn the missing import of one of PACKAGES inside the block into MissingExtra; `purpose` is what needs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise MissingExtra(
            f"{purpose} needs {package}, which is not installed", remedy="pip install 'heliograph[trainer]'"
        ) from None
