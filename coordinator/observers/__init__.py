"""Who observes a run while it goes on: progress, metrics, traces, the watched page."""
