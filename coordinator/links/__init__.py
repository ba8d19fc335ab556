"""What the team's messages really cost on the wire, layer by layer and per directed link, measured where it can be.

Imported by `coordinator.running.distributed`, which plays over the links made here, and by the evaluation tool.
"""
