"""The coordinator as a server of nodes: seats, sessions, hand-out of bundles, node processes, the books of links."""
