"""What a traced graph depends on beside the numbers in it: two step functions of one structure trace to one graph.

A module's structure is all that it holds (its classes, settings, sizes, the shapes of its weights) but the values of
its parameters and buffers.  It is told by pickling the module with a name in place of each of these.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from trainer.algorithms.step_function import StepFunction


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of a module by name, each once."""
    return dict([*module.named_parameters(), *module.named_buffers()])


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What two step functions have in common that trace to one graph."""

    digest: bytes
    modules: frozenset[str]
    """Where the classes and functions are that it holds: the digest has their names and not what they do."""


def structure_of(step: StepFunction) -> Structure | None:
    """One that differs where the traced graphs would; None if the module holds what cannot be compared."""
    module = step.module
    names = {id(tensor): name for name, tensor in tensors_of(module).items()}
    registered = Counter(
        id(tensor)
        for named in (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False))
        for _, tensor in named
    )
    signature = [(name, tuple(value.shape), value.dtype) for name, value in step.inputs.items()]
    written = io.BytesIO()
    pickler = _Pickler(written, names)
    try:
        pickler.dump((module, signature, step.outputs))
    except (pickle.PicklingError, TypeError, AttributeError):  # pickle raises each of them for what it cannot write
        return None
    if pickler.found - registered:
        return None  # held as a plain attribute as well, which a trace takes for a constant
    return Structure(digest=hashlib.sha256(written.getvalue()).digest(), modules=frozenset(pickler.modules))


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, names: dict[int, str]) -> None:
        super().__init__(file)
        self._names = names
        self.found: Counter[int] = Counter()
        """How often each named tensor is held."""
        self.modules: set[str] = set()

    def reducer_override(self, value: Any) -> Any:
        """Written as ever, and its module noted."""
        self.modules.add(getattr(value, "__module__", None) or type(value).__module__)
        return NotImplemented

    def persistent_id(self, value: Any) -> tuple[object, ...] | None:
        """What stands for a tensor: its name if its value is none of the structure, else the value, which pickle would
        write differently each time, as it would a set of names.  None: neither."""
        if type(value) is set and all(isinstance(each, str) for each in value):
            return "set", *sorted(value)
        if not isinstance(value, Tensor):
            return None
        if id(value) in self._names:
            self.found[id(value)] += 1
        told = self._names.get(id(value)) or value.detach().cpu().numpy().tobytes()
        return told, tuple(value.shape), str(value.dtype)
