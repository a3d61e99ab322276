"""Which versions of H2O, Java, Python and MOJO files are asked for where, and whether they go together."""

from tidegate.components.examination import examine
from tidegate.components.models import formats
from tidegate.components.records import Component, Row

__all__ = ["Component", "Row", "examine", "formats"]
