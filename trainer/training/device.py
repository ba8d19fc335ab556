"""Which device a training run uses."""

from __future__ import annotations

import torch

from heliograph.errors import SettingsError
from trainer.ranks.launched import launched_ranks, local_rank


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one; each of several ranks takes its own, if the name leaves it open.

    Raises SettingsError for a device that this machine lacks.
    """
    if name == "auto":
        return _of_this_rank(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"device {name!r} is not known to torch", remedy="Use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device cuda was asked for, but torch sees no GPU", remedy="Use --set device=cpu")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    return _of_this_rank(device)


def _of_this_rank(device: torch.device) -> torch.device:
    if device.type != "cuda" or device.index is not None or launched_ranks() == 1:
        return device
    if local_rank() >= torch.cuda.device_count():
        raise SettingsError(
            f"rank {local_rank()} of this machine has no GPU of its own: torch sees {torch.cuda.device_count()}",
            remedy="Start as many ranks as there are GPUs, or use --set device=cpu",
        )
    return torch.device("cuda", local_rank())
