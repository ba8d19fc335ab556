"""How the messages of peers travel: what the node asks of a transport (`seam.py`), and the transports."""
