"""The world as agents see it, step by step, and the record of what happened in it."""
