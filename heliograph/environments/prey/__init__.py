"""Predator-Prey: predators that see little look for a prey that does not move, and are to meet there."""
