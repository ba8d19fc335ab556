"""Environments: the built-in tasks, adapters to others, and the registry that makes both from an id.

May be imported by `coordinator` and `trainer`, never by `agent_node`.  Simulators load only when one is made.
"""
