"""Environments in processes of their own: a child per worker, and several workers as one environment."""
