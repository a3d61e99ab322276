"""A project of Python by its `pyproject.toml`: what it asks for, and the Python that it runs on. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from packaging.utils import canonicalize_name

from tidegate.components.allowed import versions_of
from tidegate.components.records import TIDEGATE, Component, Found
from tidegate.components.requirements import Asked, Lookup, asked_of, found_of, names_of
from tidegate.contract.errors import InvalidInput


@dataclass(frozen=True)
class Project:
    """What `pyproject.toml` says.

    Attributes:
        names: of H2O and Tidegate those that are installed with it, or that it is itself.
        asked: requirements of the project, of its extras and of its groups.
        python: `requires-python`; None where it says none.
    """

    names: frozenset[str]
    asked: tuple[Asked, ...]
    python: str | None


def project_of(text: str, place: str) -> Project:
    """Read `pyproject.toml`. Raises InvalidInput where it is no TOML."""
    document = document_of(tomllib.loads, text, place, "TOML")
    project, groups = _table(document, "project"), _table(document, "dependency-groups")
    lists = [project.get("dependencies"), *_table(project, "optional-dependencies").values(), *groups.values()]
    found = (asked_of(one, line_with(text, one)) for one in _texts(lists))
    asked = tuple(one for one in found if one is not None)
    is_tidegate = canonicalize_name(str(project.get("name", ""))) == TIDEGATE
    python = project.get("requires-python")
    names = names_of(asked) | ({TIDEGATE} if is_tidegate else frozenset())
    return Project(names, asked, python if isinstance(python, str) else None)


def found_in_pyproject(text: str, place: str, lookup: Lookup) -> list[Found]:
    """Return what a project, its extras and its groups ask for, and the Python that it runs on."""
    del lookup
    project = project_of(text, place)
    found = [found_of(one, f"{place}:{one.line}", project.names) for one in project.asked]
    if project.python is not None:
        versions = versions_of(project.python)
        trouble = None if versions is not None else "it is no set of versions that can be read"
        where, told = f"{place}:{line_with(text, 'requires-python')}", f"requires-python {project.python}"
        found.append(Found(Component.PYTHON, where, told, versions, trouble=trouble, beside=project.names))
    return [one for one in found if one is not None]


def document_of(parse: Callable[[str], Any], text: str, place: str, language: str) -> dict[str, Any]:
    """Return a document's table; one that is none is empty. Raises InvalidInput where it cannot be read."""
    try:
        document = parse(text)
    # What is nested beyond all measure ends the parser's recursion.
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"{place} is no {language} that can be read: {reason}", subject=place) from error
    return document if isinstance(document, dict) else {}


def line_with(text: str, part: str) -> int:
    """Return the number of the first line with this text; parsers of TOML and YAML do not tell it."""
    return next((number for number, line in enumerate(text.splitlines(), 1) if part in line), 1)


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _texts(lists: list[Any]) -> Iterator[str]:
    return (one for some in lists if isinstance(some, list) for one in some if isinstance(one, str))
