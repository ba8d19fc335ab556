"""What the extra `trainer` installs, and the sentence for those who lack it.  Imports none of it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from heliograph.extras import extra

PACKAGES = frozenset({"torch", "onnx", "onnxscript", "safetensors", "tensorboard", "matplotlib"})


def trainer_extra(purpose: str) -> AbstractContextManager[None]:
    """Turn the missing import of one of PACKAGES inside the block into MissingExtra; `purpose` is what needs it."""
    return extra("trainer", packages=PACKAGES, purpose=purpose)
