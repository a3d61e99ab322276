"""What has to be installed where a model is served, in the versions that it was checked with here. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@dataclass(frozen=True)
class Installed:
    """A distribution as it is installed: its version, what it requires (with markers), which extras it has."""

    version: str
    requires: Sequence[str] = ()
    extras: Collection[str] = ()


#: Returns a distribution by its name, None where it is not installed.
Lookup = Callable[[str], Installed | None]


def pinned(roots: Iterable[str], installed: Lookup, leave_out: Collection[str] = ()) -> list[str]:
    """Return all that some requirements take, those that they require included, one line each, by name.

    What is installed is pinned to its version, without a local part such as `+cpu`, which no registry has. What is not
    installed is as it is asked for.

    Args:
        leave_out: names of what is not to be there; what only that requires is not there either.
    """
    left_out = {canonicalize_name(name) for name in leave_out}
    lines: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        if name in left_out:
            continue
        found = installed(name)
        if found is None:
            lines.setdefault(name, _without_marker(asked))
            continue
        lines[name] = f"{name}=={Version(found.version).public}"
        # Each extra by itself, and none: a requirement counts where its marker holds for one of them.
        for extra in ("", *asked.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                needed = (Requirement(text) for text in found.requires)
                waiting += [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return [lines[name] for name in sorted(lines)]


def _without_marker(asked: Requirement) -> str:
    extras = f"[{','.join(sorted(asked.extras))}]" if asked.extras else ""
    return f"{asked.name}{extras}{asked.specifier}"
