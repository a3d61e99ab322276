"""What may be asked of the parent of the Envoys, and how it is said: one line of JSON there, one back. Pure.

Who asks says which Envoy is to listen where, with how many threads. The command, the files and the folder are the
parent's own.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.contract.errors import Conflict, InvalidInput, TidegateError, Unavailable

#: Asks for nothing but an answer, as a container's health check does.
HEALTH = b'"health"\n'
#: Of one line, either way.
MOST_BYTES = 64 << 10
MOST_MEMBERS, MOST_WORKERS = 64, 256

_KINDS: dict[str, type[TidegateError]] = {kind.code: kind for kind in (InvalidInput, Conflict)}


@dataclass(frozen=True)
class Asked:
    """An Envoy that is asked for, within bounds; see `process.spawn`."""

    member: int
    host: str
    port: int
    workers: int


def line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def as_line(asked: Asked) -> bytes:
    """Return the form in which it is asked for; `parse` reads it back."""
    return line(asdict(asked))


def parse(text: bytes) -> Asked:
    """Return what is asked for.

    Raises:
        InvalidInput: it is anything else than an Envoy within bounds.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _refused("the line", "JSON", text[:100]) from error
    known = {"member", "host", "port", "workers"}
    if not isinstance(document, dict) or set(document) != known:
        raise _refused("the document", f"an object with {', '.join(sorted(known))}", text[:100])
    return Asked(
        _number("member", document["member"], MOST_MEMBERS),
        _address(document["host"]),
        _number("port", document["port"], 65_535, least=0),
        _number("workers", document["workers"], MOST_WORKERS),
    )


def refusal(error: TidegateError) -> bytes:
    """Return the answer that says why not; `raise_refusal` raises it again."""
    return line({"error": error.as_dict()})


def raise_refusal(told: dict[str, Any]) -> None:
    """Raise the error in an answer; do nothing where there is none."""
    error = told.get("error")
    if error is not None:
        kind = _KINDS.get(str(error.get("code")), Unavailable)
        raise kind(error["message"], **{key: error.get(key) for key in ("subject", "expected", "got", "hint")})


def _number(what: str, found: Any, most: int, *, least: int = 1) -> int:
    if type(found) is not int or not least <= found <= most:
        raise _refused(what, f"a number from {least} to {most}", found)
    return found


def _address(found: Any) -> str:
    try:
        if isinstance(found, str):
            return str(ipaddress.ip_address(found))
    except ValueError:
        pass
    raise _refused("host", "an IP address", found)


def _refused(what: str, expected: str, got: Any) -> InvalidInput:
    return InvalidInput(
        f"no such Envoy is started: {what} is not what it may be", subject=what, expected=expected, got=str(got)[:200]
    )
