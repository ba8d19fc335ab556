"""The audit: tries to refute, on real processes, that an agent's actions depend on its own observations and on
delivered messages alone.

Recorded observations are replayed open-loop, so nothing travels through the simulator; only chosen things are changed,
and every change of an agent's latent or action must be explained by a message that it read.  For `heliograph audit`.
"""
