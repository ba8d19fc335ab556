"""MAG (Wu et al. 2023)."""
