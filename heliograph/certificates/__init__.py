"""Who may speak for whom: an authority of the team's own, certificates for its processes, keys that sign bundles.

Every house may import it.  Only `heliograph.tls` turns what is here into gRPC credentials.
"""
