"""Tidegate puts a trained model into production step by step and takes it back by itself when it misbehaves."""

__version__ = "0.1.0"
