"""What the server's metrics cost; see `python -m benchmarks.metrics`."""
