"""Traffic Junction: cars that meet at crossings and see no further than their own cell."""
