"""Worlds of gymnasium, made for one agent: as they are, with numbered levels, or an agent for every dimension."""
