"""What torch's exporter does anew for each graph, done once in a process of the tests, and not what comes to nothing: a
quarter of a trace's time.  The graphs are the same.

It makes a signature of each of onnxscript's five hundred translations, looks up all operators that PyTorch composes of
others, and holds every node of a graph against fifty patterns, most of which end in another operator.
"""

from __future__ import annotations

from functools import cache
from typing import Any


def trace_quickly() -> None:
    """From now on."""
    import torch
    from onnxscript import TracedOnnxFunction
    from onnxscript.rewriter import RewriteRule
    from torch._export import utils
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    TracedOnnxFunction.function_ir = property(cache(TracedOnnxFunction.function_ir.fget))
    translations = cache(ONNXRegistry.from_torchlib)

    def from_torchlib(opset_version: int) -> ONNXRegistry:
        """A registry that its exporter may add to."""
        registry = ONNXRegistry()
        registry._opset_version = opset_version
        registry.functions = {each: list(known) for each, known in translations(opset_version).functions.items()}
        return registry

    looked_up: set[str] = set()

    def look_up_new() -> None:
        """PyTorch's code knows these operators by name alone until they are asked for."""
        for name in torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"):
            if name not in looked_up:
                looked_up.add(name)
                namespace, _, operator = name.partition("::")
                operator, _, overload = operator.partition(".")
                getattr(getattr(getattr(torch.ops, namespace), operator), overload or "default")

    try_rewrite = RewriteRule.try_rewrite

    def try_where_it_ends_so(self: RewriteRule, model: Any, graph: Any, node: Any, **more: Any) -> Any:
        last = self._target_pattern.output_nodes[0]
        if last.op.matches(node.op_type) and last.domain.matches(node.domain):
            return try_rewrite(self, model, graph, node, **more)
        return None

    ONNXRegistry.from_torchlib = staticmethod(from_torchlib)
    utils._materialize_cpp_cia_ops = look_up_new
    RewriteRule.try_rewrite = try_where_it_ends_so
