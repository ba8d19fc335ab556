"""Experience: collected, laid out in rows, kept in replay, and drawn from it."""
