"""Outcomes that are told after the answer: read, joined to the revision that served the request, counted, shown."""
