"""What torch's exporter reads anew for each graph it reads once in a process of the tests: a fifth of a trace's time.

It asks each of onnxscript's five hundred translations, `TracedOnnxFunction`, for a signature that is made from the
function's source, and is the same every time.
"""

from __future__ import annotations

from functools import cache


def read_translations_once() -> None:
    """From now on."""
    import onnxscript

    onnxscript.TracedOnnxFunction.function_ir = property(cache(onnxscript.TracedOnnxFunction.function_ir.fget))
