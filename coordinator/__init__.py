"""The coordinator: owns the world and the roster, hands out bundles, plays episodes and keeps the books.

It imports neither torch nor the trainer; `coordinator.running.in_process` alone may import `agent_node`.
"""
