"""Is a running replica well, by the checks that a request asks for? Attempts, thresholds, and what follows."""
