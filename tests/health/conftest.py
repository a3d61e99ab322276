"""Tiny replicas to ask."""

from tests.gateway.conftest import tiny

__all__ = ["tiny"]
