"""Environments: the built-in tasks, adapters to one vectorised interface, and their registry.

For `coordinator` and `trainer`, never for `agent_node`.  Simulators are imported lazily.
"""
