"""The agent node: one process per agent, made of its local model, its inbox, its peers and a clock.

`Agent` (agent.py) is the model alone, as a library; `InProcessTeam` (in_process.py) runs several of them in one
process; `Node` (node.py) runs one against a `World` (world.py) and its peers over gRPC.  This house imports
`heliograph` and onnxruntime, and never torch, a simulator, the trainer or the coordinator: an agent cannot reach
what it was not told.
"""

import os

# Since 1.29 onnxruntime keeps a database that all its processes map and write, and sends from it to its makers,
# unless this is set before it is imported: a way between agents, and a connection, that no agent may have.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
