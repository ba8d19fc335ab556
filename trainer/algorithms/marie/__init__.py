"""MARIE (Zhang et al. 2024)."""
