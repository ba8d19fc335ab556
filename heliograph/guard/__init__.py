"""A door in front of a gRPC server: what gRPC itself cannot refuse is refused here, before it costs anything."""
