"""Environments: adapters to one vectorised interface, and their registry.  Simulators are imported lazily."""
