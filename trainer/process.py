"""Process-wide choices of a training run: threads, the memory allocator, the device."""

from __future__ import annotations

import ctypes
import logging
import sys

import torch

from heliograph.errors import SettingsError

logger = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt(3)
_KEEP_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Let glibc reuse freed tensors instead of returning them to the kernel.

    By default every temporary above 128 KiB is a fresh mapping whose pages fault in one by one, which costs a CPU
    training run about a third of its time.  Without glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, _KEEP_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one.  Raises SettingsError for a device that this machine lacks."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device {name!r} is not known to torch", remedy="Use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda was asked for, but torch sees no GPU", remedy="Use --set device=cpu")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return device
