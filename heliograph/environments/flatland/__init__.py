"""Flatland: its simulator, what trains see, the adapter, a picture and reference policies."""
