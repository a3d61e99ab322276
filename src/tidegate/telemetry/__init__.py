"""Sinks that put a replica's prediction log into the store. A replica finds them by entry point, as anybody's."""
