"""torch's optimisers, as they are where nothing of them is compiled.

Theirs load all of `torch.compile` when the first one is made, for users who may compile their steps.  Nobody does so
here, and it takes a process longer than anything else that it loads.
"""

from __future__ import annotations

import inspect
from typing import TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)

_GUARDED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
"""Methods that torch hides from its compiler."""


def uncompiled(kind: type[Kind]) -> type[Kind]:
    """The same class with these methods, and its step, as they are written.

    The step is taken without gradients of its own, as it is unless an optimiser is told to be differentiable.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _GUARDED}
    made = type(kind.__name__, (kind,), methods | {"step": torch.no_grad()(inspect.unwrap(kind.step))})
    return cast(type[Kind], made)


Adam = uncompiled(torch.optim.Adam)
AdamW = uncompiled(torch.optim.AdamW)
RMSprop = uncompiled(torch.optim.RMSprop)
SGD = uncompiled(torch.optim.SGD)
