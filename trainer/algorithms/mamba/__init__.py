"""MAMBA (Egorov & Shpilman 2022)."""
