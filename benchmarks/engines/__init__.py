"""How fast the engines for trees are that a runtime could use, and whether they answer as the framework does."""
