"""What files of a project ask for: requirements, pyproject.toml, lock files, Dockerfiles, Compose. Pure."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from tidegate.components.containers import found_in_dockerfile
from tidegate.components.image_contents import contents_of
from tidegate.components.projects import document_of, found_in_pyproject, line_with
from tidegate.components.records import Found
from tidegate.components.requirements import Asked, Lookup, asked_in, asked_of, found_of, included, names_of
from tidegate.dockerfile.substitution import filled

#: From the text of a file, what it is called, and what it names to what it states.
Reader = Callable[[str, str, Lookup], list[Found]]

_READERS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"(?:Dockerfile|Containerfile)(?:\.(?!dockerignore$).+)?|.+\.[Dd]ockerfile", "dockerfile"),
        (r".*(?:requirements|constraints).*\.(?:txt|in|lock)", "requirements"),
        (r"pyproject\.toml", "pyproject"),
        (r"(?:uv|poetry)\.lock|pylock(?:\..+)?\.toml", "lock"),
        (r"(?:docker-)?compose.*\.ya?ml", "compose"),
    )
)
#: What is recognised, for people.
KNOWN = "Dockerfiles, requirements*.txt, constraints*.txt, pyproject.toml, lock files, Compose files, MOJO files"


def reader_for(path: PurePath) -> Reader | None:
    """Return what reads a file of this name; None for a file that says nothing of versions."""
    kind = next((kind for pattern, kind in _READERS if pattern.fullmatch(path.name)), None)
    if kind is None and path.parent.name == "requirements" and path.suffix in (".txt", ".in"):
        kind = "requirements"
    return None if kind is None else _BY_KIND[kind]


def found_in_requirements(text: str, place: str, lookup: Lookup) -> list[Found]:
    """Return what each line asks for. What a file includes is beside it, and is read as a file of its own."""
    own = asked_in(text, lookup)
    beside = names_of(own) | names_of(included(text, lookup))
    found = [found_of(one, f"{place}:{one.line}", beside) for one in own]
    return [one for one in found if one is not None]


def found_in_lock(text: str, place: str, lookup: Lookup) -> list[Found]:
    """Return what `uv.lock`, `poetry.lock` or `pylock.toml` pins."""
    del lookup
    document = document_of(tomllib.loads, text, place, "TOML")
    packages = document.get("package", document.get("packages", []))
    asked: list[Asked] = []
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, dict) and "version" in package:
            name = str(package.get("name"))
            one = asked_of(f"{name}=={package['version']}", line_with(text, f'name = "{name}"'))
            asked += [] if one is None else [one]
    found = [found_of(one, f"{place}:{one.line}", names_of(asked)) for one in asked]
    return [one for one in found if one is not None]


def found_in_compose(text: str, place: str, lookup: Lookup) -> list[Found]:
    """Return what the images of a Compose file are, and what its builds with arguments of their own become."""
    document = document_of(_yaml, text, place, "YAML")
    services = document.get("services")
    found: list[Found] = []
    for name, service in services.items() if isinstance(services, dict) else ():
        if isinstance(service, dict):
            found += _found_in_image(service.get("image"), text, place)
            found += _found_in_build(service.get("build"), f"{place} ({name})", lookup)
    return found


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _found_in_image(image: Any, text: str, place: str) -> Iterator[Found]:
    if isinstance(image, str):
        where = f"{place}:{line_with(text, image)}"
        for one in contents_of(filled(image, {}, dollars=True)):
            yield Found(one.component, where, one.text, one.versions, one.remedy, one.trouble)


def _found_in_build(build: Any, place: str, lookup: Lookup) -> list[Found]:
    """Without arguments a build is what its Dockerfile says, which is a place of its own."""
    args = build.get("args") if isinstance(build, dict) else None
    if isinstance(args, list):
        args = dict(str(one).partition("=")[::2] for one in args if "=" in str(one))
    if not isinstance(args, dict) or not args:
        return []
    file = posixpath.join(str(build.get("context", ".")), str(build.get("dockerfile", "Dockerfile")))
    dockerfile = lookup(file)
    given = {
        str(name): filled(str(value), {}, dollars=True)
        for name, value in args.items()
        if isinstance(value, (str, int, float))
    }
    return [] if dockerfile is None else found_in_dockerfile(dockerfile, f"{place} {file}", lookup, given)


_BY_KIND: Mapping[str, Reader] = {
    "dockerfile": found_in_dockerfile,
    "requirements": found_in_requirements,
    "pyproject": found_in_pyproject,
    "lock": found_in_lock,
    "compose": found_in_compose,
}
