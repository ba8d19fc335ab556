"""Reads what runs and teams leave behind, and runs teams to find out more: bandwidth, audit, comparison.

It stands above the coordinator, which never imports it.  No torch, no trainer.
"""
