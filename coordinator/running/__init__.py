"""A run from its first process to its report: distributed over processes, or in this one.

`distributed` plays a team of processes and `local` a team in this process, through `in_process`, the only module of
the coordinator that imports `agent_node`.
"""
