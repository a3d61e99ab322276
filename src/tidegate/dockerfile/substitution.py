"""Variables in text, `$NAME` and `${NAME:-default}`, as Dockerfiles and Compose files write them.

What nothing in the file says is unknown. Who judges takes a text with something unknown in it as unknown as a whole:
None. Who tells people what is missing takes it with what is unknown as it is written (`keeps`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

#: The values that are known. A variable that is missing here, or None, may be anything.
Variables = Mapping[str, str | None]

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN_OPERATORS: Final = (":-", ":+", ":?", "-", "+", "?")
#: Nobody nests defaults this deep; a file that does is not worth a stack.
_DEEPEST: Final = 20
#: Of a text with its variables replaced, in characters: a variable may be doubled again and again.
LONGEST_VALUE: Final = 1 << 16
#: Of one variable with its default, in characters.
_LONGEST: Final = 4096


def value_at(
    text: str, at: int, variables: Variables, *, keeps: bool = False, depth: int = 0
) -> tuple[str | None, int] | None:
    """Return the value of the variable that begins at the `$` at `at`, and where it ends.

    None where that `$` begins no variable and stands for itself.

    Args:
        keeps: what is unknown is its own value.
    """
    if text.startswith("${", at):
        closing = _closing(text, at + 2)
        if closing is None:
            return None
        value, end = _braced(text[at + 2 : closing], variables, keeps, depth), closing + 1
    else:
        name = _NAME.match(text, at + 1)
        if name is None:
            return None
        value, end = variables.get(name[0]), name.end()
    return (text[at:end] if value is None and keeps else value), end


def substituted(
    text: str, variables: Variables, *, dollars: bool = False, keeps: bool = False, depth: int = 0
) -> str | None:
    """Return the text with its variables replaced, or None where one of them is unknown or the text grows too long.

    Args:
        dollars: `$$` is a dollar, as in Compose.
        keeps: what is unknown stays as it is written.
    """
    parts: list[str] = []
    at = size = 0
    while at < len(text):
        dollar = text.find("$", at)
        if dollar < 0:
            break
        parts.append(text[at:dollar])
        if dollars and text.startswith("$$", dollar):
            parts.append("$")
            at = dollar + 2
            continue
        found = value_at(text, dollar, variables, keeps=keeps, depth=depth)
        if found is None:
            parts.append("$")
            at = dollar + 1
            continue
        value, at = found
        size += len(value or "")
        if value is None or size > LONGEST_VALUE:
            return None
        parts.append(value)
    return "".join(parts) + text[at:]


def filled(text: str, variables: Variables, *, dollars: bool = False) -> str:
    """Return the text with the variables replaced that are known. One that grows too long stays as it is."""
    whole = substituted(text, variables, dollars=dollars, keeps=True)
    return text if whole is None else whole


def _closing(text: str, at: int) -> int | None:
    """Return where the `}` is that closes what was opened before `at`."""
    depth = 1
    for here in range(at, min(len(text), at + _LONGEST)):
        if text[here] == "{" and text[here - 1] == "$":
            depth += 1
        elif text[here] == "}":
            depth -= 1
            if depth == 0:
                return here
    return None


def _braced(inner: str, variables: Variables, keeps: bool, depth: int) -> str | None:
    """Return the value of what stands between the braces."""
    name = _NAME.match(inner)
    if name is None or depth >= _DEEPEST:
        return None
    value, rest = variables.get(name[0]), inner[name.end() :]
    if not rest:
        return value
    operator = next((one for one in _PLAIN_OPERATORS if rest.startswith(one)), None)
    if operator is None:
        # Patterns that cut and replace (`#`, `%`, `/`) leave a value that is not worth guessing.
        return None
    word = rest[len(operator) :]
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("?"):
        return value
    if operator.endswith("+"):
        return substituted(word, variables, keeps=keeps, depth=depth + 1) if is_set else ""
    return value if is_set else substituted(word, variables, keeps=keeps, depth=depth + 1)
