"""Planning with a learned model: sampled tree search with OS(lambda), for any MuZero-like model in torch.

Knows no network, no environment and no algorithm: torch alone, and the settings of `settings`.  Any package of the
trainer above it may import it.
"""
