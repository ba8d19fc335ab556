"""The kernel's networks: namespaces that links between processes live in, and what of it a machine can do.

Imported by the coordinator's counted links and by `heliograph doctor`; by nodes never.
"""
