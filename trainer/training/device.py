"""Which device a training run uses."""

from __future__ import annotations

import torch

from heliograph.errors import SettingsError


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
