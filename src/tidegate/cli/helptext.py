"""A command's docstring as its help: paragraphs flow with the terminal, example lines stay as they are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

EXAMPLE = "$ "


def help_of(command: Callable[..., Any]) -> str:
    """Return the help of a command; its paragraphs of lines that begin with "$ " are examples."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(_flowing(paragraph) for paragraph in paragraphs)


def _flowing(paragraph: str) -> str:
    if paragraph.startswith(EXAMPLE):
        return paragraph
    return " ".join(paragraph.split())
