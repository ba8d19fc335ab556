"""Graphs that processes share: runs of one structure, side by side or one after the other, trace it once.

`$HELIOGRAPH_GRAPHS` names the folder; without it nothing is shared.  Who can write there decides what bundles compute,
so it is a user's own, and made anew for what is started together (`train --seeds`).  A graph is found by what it was
traced from: the structure, every source of this package and of `heliograph`, and the versions of what traces.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError

import heliograph
import trainer
from heliograph.reading import DOCUMENT, Unreadable, read_bytes
from trainer.export.structure import Structure

FOLDER = "HELIOGRAPH_GRAPHS"
"""The variable of the environment."""

_LOADED = time.time()
_PACKAGES = (heliograph, trainer)
_OTHERS = ("torch", "numpy")
"""Packages beside those whose classes are told by their version."""
_TRACING = (*_OTHERS, "onnx", "onnxscript", "onnx-ir")


def shared_graph(structure: Structure) -> onnx.ModelProto | None:
    """The graph that another process has left; None if there is none that can be read whole."""
    path = _path(structure)
    with suppress(OSError, Unreadable, DecodeError):
        if path is not None:
            written = read_bytes(path, limit=DOCUMENT)
            digest, graph = written[:32], written[32:]
            if hashlib.sha256(graph).digest() == digest:
                return onnx.load_from_string(graph)
    return None


def share_graph(structure: Structure, graph: onnx.ModelProto) -> None:
    """Leave a graph for others, whole or not at all; a folder that cannot be written costs them time alone."""
    path = _path(structure)
    if path is None:
        return
    written = graph.SerializeToString()
    with suppress(OSError):
        descriptor, partial = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(written).digest() + written)
            os.replace(partial, path)
        finally:
            Path(partial).unlink(missing_ok=True)  # left there only by what went wrong


def _path(structure: Structure) -> Path | None:
    """Where the graph of a structure is or would be; None if it is not to be shared."""
    folder, sources = os.environ.get(FOLDER), _sources()
    if not folder or sources is None or not all(_is_known(module) for module in structure.modules):
        return None
    name = hashlib.sha256(b"\0".join([sources, str(torch.get_default_dtype()).encode(), structure.digest]))
    return Path(folder) / f"{name.hexdigest()}.onnx"


def _is_known(module: str) -> bool:
    """Whether a module's code is told by `_sources`."""
    root = module.partition(".")[0]
    return root in sys.stdlib_module_names or root in {*_OTHERS, *(package.__name__ for package in _PACKAGES)}


@functools.cache
def _sources() -> bytes | None:
    """A digest of all code that a trace depends on; None if it was changed since this process has loaded its own."""
    digest = hashlib.sha256(sys.version.encode())
    for name in _TRACING:
        with suppress(PackageNotFoundError):
            digest.update(f"{name} {version(name)}\n".encode())
    for package in _PACKAGES:
        for path in sorted(Path(place) / file for place in package.__path__ for file in Path(place).rglob("*.py")):
            if path.stat().st_mtime > _LOADED:
                return None
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.digest()
