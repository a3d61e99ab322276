"""Drift that the controller watches: the reference of a revision is kept, readings are made, stored and told."""
