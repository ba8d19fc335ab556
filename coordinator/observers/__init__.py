"""What a run shows of itself while it goes on: progress, metrics, traces, the watched page."""
