"""What is to be known of a command: the words, where it listens, where it says that it is well."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.settings import require_known

_NAMES = (
    "command",
    "environment",
    "healthPath",
    "method",
    "port",
    "predictPath",
    "sampleRequest",
    "startSeconds",
    "timeoutSeconds",
)
_WHERE = "modelArtifact.settings"
_MOST_WORDS, _LONGEST_TEXT = 1000, 10_000
_PLACEHOLDER = re.compile(r"\{(port|host|artifact|python)\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"/[!-~]*")
_METHODS = ("POST", "PUT", "PATCH", "GET")


@dataclass(frozen=True)
class CommandSettings:
    """How a server is started and spoken to.

    Attributes:
        command: words with placeholders, see `expanded`; the first is the program.
        health_path: answers 2xx as soon as, and as long as, the server can be asked.
        predict_path: the path to which requests of `/predict` go.
        port: on which it listens; 0 for one that is free.
        start_seconds: how long it may take until it is well.
        timeout_seconds: the longest silence of the server while it answers one request.
        environment: variables beside those that are inherited, with placeholders.
        method: of the sample request.
        sample_request: JSON body with which it is tried; None when it is not.
    """

    command: tuple[str, ...]
    health_path: str = "/"
    predict_path: str = "/predict"
    port: int = 0
    start_seconds: float = 60.0
    timeout_seconds: float = 60.0
    environment: tuple[tuple[str, str], ...] = ()
    method: str = "POST"
    sample_request: Any = None


def command_settings(settings: Mapping[str, Any]) -> CommandSettings:
    """Read the settings of a document or of `tidegate.yaml`.

    Raises:
        InvalidInput: one is missing, unknown or wrong; it is named.
    """
    require_known(settings, _NAMES, "command")
    defaults = CommandSettings(command=())
    method = str(settings.get("method", defaults.method)).upper()
    if method not in _METHODS:
        raise _wrong("method", f"one of {', '.join(_METHODS)}", settings["method"])
    return CommandSettings(
        command=_words(settings.get("command")),
        health_path=_path(settings, "healthPath", defaults.health_path),
        predict_path=_path(settings, "predictPath", defaults.predict_path),
        port=int(_number(settings, "port", defaults.port, 0, 65535, whole=True)),
        start_seconds=_number(settings, "startSeconds", defaults.start_seconds, 0.1, 3600),
        timeout_seconds=_number(settings, "timeoutSeconds", defaults.timeout_seconds, 0.1, 3600),
        environment=_environment(settings.get("environment", {})),
        method=method,
        sample_request=settings.get("sampleRequest"),
    )


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Return the text with `{port}`, `{host}`, `{artifact}` and `{python}` filled in; other braces stay as they are."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _words(command: Any) -> tuple[str, ...]:
    expected = 'words such as ["{python}", "app.py", "--port", "{port}"], or the same in one text'
    if command is None:
        raise InvalidInput(
            "It is not said which command starts the server.",
            subject=f"{_WHERE}.command",
            expected=expected,
            hint="Say it in modelArtifact.settings, or in tidegate.yaml in the folder.",
        )
    if isinstance(command, str):
        try:
            words: Any = shlex.split(command)
        except ValueError as error:
            raise _wrong("command", f"{expected} ({error})", command) from error
    else:
        words = command
    if (
        not isinstance(words, list)
        or not 1 <= len(words) <= _MOST_WORDS
        or not all(isinstance(word, str) and "\0" not in word and len(word) <= _LONGEST_TEXT for word in words)
        or not words[0]
    ):
        raise _wrong("command", expected, command)
    return tuple(words)


def _path(settings: Mapping[str, Any], name: str, default: str) -> str:
    value = settings.get(name, default)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or _PATH.fullmatch(value) is None:
        raise _wrong(name, 'a path that begins with /, such as "/healthz"', value)
    return value


def _number(
    settings: Mapping[str, Any], name: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    value = settings.get(name, default)
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise _wrong(name, f"a {'whole ' if whole else ''}number from {low:g} to {high:g}", value)
    return value


def _environment(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping) or len(value) > _MOST_WORDS:
        raise _wrong("environment", 'an object such as {"WORKERS": "1"}', value)
    for name, text in value.items():
        if not isinstance(name, str) or _VARIABLE.fullmatch(name) is None:
            raise _wrong("environment", "names of letters, digits and underscores", name)
        if not isinstance(text, str) or "\0" in text or len(text) > _LONGEST_TEXT:
            raise _wrong(f"environment.{name}", "a text (put numbers in quotes)", text)
    return tuple(value.items())


def _wrong(name: str, expected: str, got: Any) -> InvalidInput:
    shown = str(got)[:100]
    return InvalidInput(
        f"The setting {name} is wrong: expected {expected}, got {shown!r}.",
        subject=f"{_WHERE}.{name}",
        expected=expected,
        got=repr(shown),
    )
