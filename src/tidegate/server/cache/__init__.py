"""A look-aside cache of answers: in this process, or in Redis for all replicas of a revision."""
