"""Which runtimes there are: looked up by entry point, the built-in ones like everybody else's."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.base import Runtime

GROUP = "tidegate.runtimes"


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def runtime_names() -> tuple[str, ...]:
    """Return the names of all installed runtimes, in alphabetical order."""
    return tuple(_entry_points())


@lru_cache(maxsize=64)
def get_runtime(name: str) -> Runtime:
    """Return the runtime of that name.

    Raises:
        InvalidInput: no runtime has that name; the known ones are listed.
        Unavailable: its entry point is there and cannot be loaded, which is a fault of the installation.
    """
    point = _entry_points().get(name)
    if point is None:
        near = difflib.get_close_matches(name, runtime_names(), n=1)
        raise InvalidInput(
            f"There is no runtime named {name!r}.",
            subject="modelArtifact.framework",
            expected=f"one of {', '.join(runtime_names())}",
            got=name,
            hint=f"Did you mean {near[0]}?" if near else None,
        )
    try:
        runtime = point.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise Unavailable(
            f"The runtime {name!r} is registered but cannot be loaded: {error}.",
            subject=point.value,
            hint="Install the package that brings it again, or remove it.",
        ) from error
    if not isinstance(runtime, Runtime):
        raise Unavailable(
            f"The entry point {point.value!r} of runtime {name!r} is not a runtime.",
            subject=point.value,
            expected="an object with name, packages, recognise and load",
        )
    return runtime


def runtimes() -> Iterator[Runtime]:
    """Yield every installed runtime, in alphabetical order of the names."""
    for name in runtime_names():
        yield get_runtime(name)
