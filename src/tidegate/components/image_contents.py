"""What the name of an image says of the Java, the Python or the H2O in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from tidegate.components.allowed import exactly, series, versions_of
from tidegate.components.records import Component
from tidegate.dockerfile.images import ImageName

#: Repositories of nothing but a Java, by the last part of their names. Their tags begin with its version.
_JAVAS = re.compile(
    r"eclipse-temurin|(?:adopt)?openjdk\d*|amazoncorretto|zulu-openjdk.*|ibm-semeru-runtimes|ibmjava|sapmachine"
    r"|liberica-.*|jdk|graalvm.*|native-image.*|jre|dragonwell"
)
#: A Java within another image, in its name or its tag: maven:3.9-eclipse-temurin-17, distroless/java17-debian12.
_JAVA_WITHIN = re.compile(r"(?:jdk|jre|java|temurin|corretto|openjdk|zulu|semeru|liberica)-?(\d+)")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_MOVES = "its tag names no version, so it moves"


@dataclass(frozen=True)
class Contents:
    """A component in an image; `versions` is None, with the `trouble`, where its name does not tell."""

    component: Component
    text: str
    versions: SpecifierSet | None
    remedy: str | None = None
    trouble: str | None = None


def contents_of(image: str) -> Iterator[Contents]:
    """Return what an image is known to hold, by its name and its tag."""
    parsed = ImageName.parse(image)
    repository, tag, name = parsed.repository, parsed.tag or "", parsed.base.lower()
    if "$" in image:
        yield from _unfilled(image, repository.lower())
    elif re.search(r"(^|/)h2oai/", repository.lower()) and "h2o" in name:
        yield Contents(Component.SERVER, image, _release(tag))
    elif name == "python":
        yield _python(image, tag)
    elif (java := _java(name, tag)) is not None:
        yield Contents(Component.JAVA, image, java, _java_remedy(repository, name))


def java_versions(text: str) -> SpecifierSet | None:
    """Return the Java that a version such as `17.0.13_11`, `8u432` or `1.8.0` is of; None where there is no number."""
    number = _NUMBER.search(text)
    if number is None:
        return None
    major, *minor = number[0].split(".")
    return series(minor[0] if major == "1" and minor else major)


def _unfilled(image: str, repository: str) -> Iterator[Contents]:
    """An image whose version comes with the build: what it holds is known by the part of its name that is written."""
    unknown = re.search(r"\$\{?(\w+)", image)
    why = f"{unknown[1]} has no value here" if unknown else _MOVES
    name = repository.rpartition("/")[2]
    if repository.startswith("h2oai/"):
        yield Contents(Component.SERVER, image, None, trouble=why)
    elif name == "python":
        yield Contents(Component.PYTHON, image, None, trouble=why)
    elif _JAVAS.fullmatch(name):
        yield Contents(Component.JAVA, image, None, _java_remedy(repository, name), why)


def _release(tag: str) -> SpecifierSet | None:
    """Return H2O's version by a tag: any, where it names none and so means the newest."""
    number = _NUMBER.search(tag)
    return versions_of("") if number is None else exactly(number[0])


def _python(image: str, tag: str) -> Contents:
    number = _NUMBER.match(tag)
    versions = series(number[0]) if number is not None and "." in number[0] else None
    trouble = None if versions is not None else _MOVES
    return Contents(Component.PYTHON, image, versions, None, trouble)


def _java(name: str, tag: str) -> SpecifierSet | None:
    """Return the Java in an image: any, where its tag names no version and so means the newest; None for no Java."""
    within = _JAVA_WITHIN.search(f"{name}:{tag}")
    if within is not None:
        return java_versions(within[1])
    if not _JAVAS.fullmatch(name):
        return None
    versions = java_versions(tag)
    return versions_of("") if versions is None else versions


def _java_remedy(repository: str, name: str) -> str:
    return f"use {repository}:17" if name in ("eclipse-temurin", "amazoncorretto") else "use an image of Java 17"
