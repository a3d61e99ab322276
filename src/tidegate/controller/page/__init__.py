"""The report as one HTML page with plots: no script, no font, no address that would have to answer. Pure."""

from tidegate.controller.page.page import html

__all__ = ["html"]
