"""What can be said about a channel, key by key; for help texts and for the parser.  Imports nothing."""

KEYS = {
    "erasure": "erasure=P: each message is lost with this probability",
    "link": "link=I>J:P: the same for what I sends to J alone (repeatable)",
    "burst": "burst=P:L: losses in bursts of L steps on average, a share P of all steps (Gilbert-Elliott)",
    "distance": "distance=D or D:X: loss that grows with distance, one half at D, with exponent X (2)",
    "delay-ms": "delay-ms=D: how long messages take, in virtual time",
    "jitter-ms": "jitter-ms=J: give or take up to so much",
    "deadline-ms": "deadline-ms=T: how long a step waits for them (100)",
    "rate-bits": "rate-bits=R: what a link carries per step; messages beyond are lost",
    "nearest": "nearest=K: only the K nearest neighbours' messages reach an agent",
    "silent": "silent=I,J: messages of these agents reach nobody",
}
"""What each key means, for help texts."""
