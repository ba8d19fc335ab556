"""The coordinator as a server of nodes: seats, sessions, the bundle store, node processes, conservation of messages."""
