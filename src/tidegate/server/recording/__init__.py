"""What a replica keeps of its predictions: a sampled log of them, and how they are distributed."""
