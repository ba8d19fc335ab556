"""SMAX: battles like SMAC's in JAX, all copies in one compiled call."""
