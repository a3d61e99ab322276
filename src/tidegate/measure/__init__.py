"""Asks for a number where the user says: a Prometheus server, an HTTP service, a Python function. Knows no rollouts."""

from tidegate.measure.asking import Asked, ask, check, numbers_of
from tidegate.measure.errors import UnmeasurableError

__all__ = ["Asked", "UnmeasurableError", "ask", "check", "numbers_of"]
