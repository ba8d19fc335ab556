"""Ranks: the processes that learn one team together, each from its own share of the experience."""
