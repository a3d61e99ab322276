"""Requests to `/predict` that name entities: their rows are completed from the feature store, look-aside with Redis."""
