"""`heliograph campaign`: methods in worlds with seeds, trained and measured as processes, resumable, one report."""
