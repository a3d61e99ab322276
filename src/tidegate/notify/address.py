"""From a destination of the request document to the URL that it names. The URL stays in memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidegate.contract.errors import InvalidInput
from tidegate.contract.notifications import concealed, is_keyed_host

_MOST_BYTES = 8192


class Unresolved(InvalidInput):
    """The URL that a receiver names is not there, not readable, or open to others."""


def resolve(destination: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    """Return the URL of a destination (JSON form, camelCase).

    Raises:
        Unresolved: the variable or the file is missing, or others could read the file.
    """
    if destination.get("url"):
        return str(destination["url"])
    if variable := destination.get("urlFromEnv"):
        found = environ.get(variable, "").strip()
        if not found:
            raise Unresolved(
                f"the controller has no {variable} in its environment",
                subject=f"{destination.get('name')}.urlFromEnv",
                hint="a running controller gets no new variables: name a file with urlFromFile, or start it anew with "
                f"{variable} set (tidegate down, then tidegate up)",
            )
        return found
    return _from_file(Path(str(destination["urlFromFile"])), f"{destination.get('name')}.urlFromFile")


def is_message(url: str) -> bool:
    """Say whether the URL wants a message through Apprise; every other http(s) URL gets a CloudEvent."""
    parts = urlsplit(url)
    return parts.scheme not in ("http", "https") or is_keyed_host(parts.hostname or "")


def _from_file(path: Path, subject: str) -> str:
    mend = f"chmod 600 {path}"
    try:
        # Not blocking, for a file that is a pipe. Questions go to the open file: the name could change meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unresolved(f"{path}: {error.strerror}", subject=subject, expected="a file that can be read") from error
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Unresolved(f"{path} is no regular file", subject=subject, expected="a file with a URL")
        if found.st_mode & 0o077:
            mode = f"mode {stat.S_IMODE(found.st_mode):03o}"
            raise Unresolved(f"{path} can be read by others", subject=subject, expected="mode 600", got=mode, hint=mend)
        if found.st_uid not in (0, os.geteuid()):
            raise Unresolved(f"{path} belongs to somebody else", subject=subject, expected="a file of your own")
        try:
            lines = stream.read(_MOST_BYTES).decode().strip().splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
    if not lines:
        raise Unresolved(f"{path} has no URL on its first line", subject=subject, expected="a URL on the first line")
    return lines[0].strip()


def refuse_unreadable(url: str, subject: str) -> None:
    """Raise Unresolved for what is no URL at all; nothing of it is shown."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.scheme) and (parts.scheme not in ("http", "https") or bool(parts.hostname))
        _ = parts.port if parts.scheme in ("http", "https") else None
    except ValueError:
        usable = False
    if not usable:
        raise Unresolved("what is named there is no URL", subject=subject, expected="scheme://…", got=concealed(url))
