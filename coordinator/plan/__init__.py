"""What is to be run, at what pace, and whom a command trusts: all of it known before anything starts."""
