"""Policies that others trained, brought into bundles: an ONNX graph of theirs inside a step function of ours.

Needs the package onnx (extra `pack`), and neither torch nor a runtime.
"""
