"""Scores of teams, central networks and baselines on the same episodes, for `heliograph evaluate`."""
