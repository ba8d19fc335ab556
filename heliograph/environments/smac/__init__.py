"""SMAC and SMACv2: StarCraft II battles, each copy in a process of its own."""
