"""From each schema that was released to the next, forward alone."""
