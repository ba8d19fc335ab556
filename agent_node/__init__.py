"""The agent node: one process per agent, made of its local model, its inbox, its peers and a clock.

`Agent` (agent.py) is the model alone, as a library; `InProcessTeam` (in_process.py) runs several of them in one
process; `Node` (node.py) runs one against a `World` (world.py) and its peers over gRPC.  This house imports
`heliograph` and onnxruntime, and never torch, a simulator, the trainer or the coordinator: an agent cannot reach
what it was not told.
"""
