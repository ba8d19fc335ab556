"""Judges the ONNX graph of a bundle before a runtime loads it: what it is made of, and how large it becomes.

A bundle comes from a file, and a runtime computes what a graph's constants come to while it loads, however large that
is.  `check_graph` lets through what a step function needs and nothing else; docs/bundle.md states the limits.
`reading` parses the file, `operators` knows what shapes come out of each operator, `judgement` adds them up.  Shared by
all who load graphs; needs neither onnx nor a runtime.
"""

from __future__ import annotations

from heliograph.graph.judgement import check_graph

__all__ = ["check_graph"]
