"""Model cards: what a trained team is, what it was measured to do, and how to run it."""
