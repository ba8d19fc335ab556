"""Reads a foreign ONNX graph, and refuses in a sentence what no step function can be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import onnx
from onnx import TensorProto

from heliograph.bundle import MAX_BUNDLE_BYTES
from heliograph.errors import BundleCorrupt, BundleMismatch
from heliograph.graph.reading import OPERATOR_SETS
from heliograph.packing.naming import TensorNames
from heliograph.reading import Unreadable, read_bytes
from heliograph.system_refusals import remedy_for

Shape = tuple[int, ...]
_TO_EXPORT_AGAIN = "Export it with a batch of one and fixed shapes"


def read_foreign(path: Path) -> bytes:
    """The bytes of a graph's file.  Raises BundleCorrupt."""
    try:
        return read_bytes(path, limit=MAX_BUNDLE_BYTES)
    except FileNotFoundError:
        raise BundleCorrupt(f"there is no file {path}") from None
    except Unreadable as error:
        raise BundleCorrupt(f"{path} {error}") from None
    except OSError as error:
        raise BundleCorrupt(f"cannot read {path}: {error.strerror}", remedy=remedy_for(error)) from None


def parsed(data: bytes, names: TensorNames, *, origin: str) -> onnx.ModelProto:
    """The graph without notes; `origin` names it in errors.

    Raises BundleCorrupt for what is no graph, or one of files or operators that a step function cannot have, and
    BundleMismatch for tensors that are named in vain, or not at all.
    """
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's own, of one package or another
        model = onnx.ModelProto()
    if not model.graph.node:
        raise BundleCorrupt(f"{origin} is no ONNX graph", remedy="Export the policy by torch.onnx.export or its like")
    _check_made_of(model, origin)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    _check_named(names.inputs, [value.name for value in inputs], what="input", origin=origin)
    _check_named(names.outputs, [value.name for value in graph.output], what="output", origin=origin)
    unmapped = [value.name for value in inputs if value.name not in names.inputs]
    if unmapped:
        raise BundleMismatch(
            f"{origin} has inputs that nothing says the meaning of: {', '.join(unmapped)}",
            remedy=f"Of its inputs {_listed(inputs)}, each must be the observation, a state, the mask or of messages",
        )
    del graph.input[:]
    graph.input.extend(inputs)
    # What is said of values on the way may hold the sizes that were open; all follow from the inputs.
    del graph.value_info[:]
    _forget_notes(model)
    return model


def open_dimensions(model: onnx.ModelProto) -> set[str]:
    """Names of the sizes that the inputs of a graph leave open."""
    dimensions = (dimension for value in model.graph.input for dimension in value.type.tensor_type.shape.dim)
    return {dimension.dim_param for dimension in dimensions} - {""}


def fix_dimensions(model: onnx.ModelProto, fixed: Mapping[str, int], *, origin: str) -> None:
    """Give sizes to the dimensions that a graph only names, such as {"batch": 1}.

    Raises BundleMismatch for an input that has an unknown size still.
    """
    for value in model.graph.input:
        _fix(value, fixed, origin)


def sizes(value: onnx.ValueInfoProto) -> Shape:
    """The shape of a value whose sizes are all fixed."""
    return tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)


def _check_made_of(model: onnx.ModelProto, origin: str) -> None:
    sets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    foreign = sorted({node.domain or "ai.onnx" for node in model.graph.node} - {"ai.onnx"})
    if foreign:
        raise BundleCorrupt(f"{origin} uses operators of {', '.join(foreign)}; only ONNX's own have a meaning here")
    version = sets.get("ai.onnx")
    if version not in OPERATOR_SETS:
        raise BundleCorrupt(
            f"{origin} is written in version {version} of ONNX's operators, bundles in one of "
            f"{OPERATOR_SETS.start} to {OPERATOR_SETS.stop - 1}",
            remedy="Export it again with opset_version=18",
        )
    outside = [tensor.name for tensor in model.graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
    if outside:
        raise BundleCorrupt(
            f"{origin} keeps weights in other files ({outside[0]} and {len(outside) - 1} more)",
            remedy="Save it as one: onnx.save(onnx.load(FILE), FILE), or export with external_data=False",
        )


def _check_named(wanted: Iterable[str], there: list[str], *, what: str, origin: str) -> None:
    for name in wanted:
        if name not in there:
            raise BundleMismatch(
                f"{origin} has no {what} {name!r}", remedy=f"Its {what}s are {', '.join(there) or 'none'}"
            )


def _fix(value: onnx.ValueInfoProto, fixed: Mapping[str, int], origin: str) -> None:
    """Put sizes in the place of names."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise BundleMismatch(f"input {value.name!r} of {origin} has no shape", remedy=_TO_EXPORT_AGAIN)
    for place, dimension in enumerate(tensor.shape.dim):
        if dimension.HasField("dim_value"):
            continue
        size = fixed.get(dimension.dim_param)
        if size is None:
            named = dimension.dim_param
            raise BundleMismatch(
                f"input {value.name!r} of {origin} leaves its dimension {place} open ({named or 'without a name'})",
                remedy=f"{_TO_EXPORT_AGAIN}{named and f', or say what it is with --fix {named}=1'}",
            )
        dimension.dim_value = size


def _listed(inputs: list[onnx.ValueInfoProto]) -> str:
    return ", ".join(value.name for value in inputs)


def _forget_notes(model: onnx.ModelProto) -> None:
    """Drop paths and lines of the exporting machine's code, and who exported it."""
    model.producer_name = model.producer_version = ""
    graph = model.graph
    for parts in ([model], [graph], graph.node, graph.initializer, graph.input, graph.output):
        for noted in parts:
            noted.ClearField("doc_string")
            noted.ClearField("metadata_props")
