"""Peer streams without a gRPC library: `Peer.Exchange` and health over HTTP/2, written for many small messages.

`connection.py` is HTTP/2 without a socket, `link.py` its socket, `call.py` a gRPC call on it; `client.py` dials,
`server.py` listens.
"""
