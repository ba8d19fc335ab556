"""Matrix games: two agents choose at once, and both get what a table says."""
