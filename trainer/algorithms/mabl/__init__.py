"""MABL (Venugopal et al. 2024)."""
