"""The algorithms, a package each, behind the one seam of `interfaces.py`."""
