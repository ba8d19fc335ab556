"""The bandwidth tool: what a team's messages cost on the wire, what they are worth, and what they say.

Part of the coordinator's house; the commands `heliograph bandwidth …` are its face.
"""
