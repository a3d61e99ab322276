"""What the commands of a RUN install: pip's requirements, packages of the system. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tidegate.dockerfile.shell import ShellCommand

_PIP = re.compile(r"(?:(?P<folder>.*)/bin/|.*/)?pip3?(?:\.\d+)?")
_SYSTEM = re.compile(r"(?:.*/)?(?:apt-get|apt|apk|dnf|yum|microdnf|zypper)")
#: Options of `pip install` that are followed by a value which is no requirement.
_VALUED = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "-f", "--find-links"),
        *("--platform", "--python-version", "--implementation", "--abi", "--no-binary", "--only-binary", "--cert"),
        *("--cache-dir", "--timeout", "--retries", "--proxy", "--trusted-host", "-e", "--editable", "--log", "--src"),
        *("--upgrade-strategy", "--python", "--progress-bar", "--config-settings", "-C", "--global-option"),
    }
)
_FOLDERS = frozenset({"-t", "--target", "--prefix", "--root"})
_FILES = {"-r": "-r", "--requirement": "-r", "--requirements": "-r", "-c": "-c", "--constraint": "-c"}


@dataclass(frozen=True)
class PipInstall:
    """One `pip install`.

    Attributes:
        requirements: what is asked for by name, path or address.
        files, constraints: files of requirements and of constraints.
        folder: where it goes to, an environment or a folder of its own; None for that of the system.
    """

    requirements: tuple[str, ...]
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    folder: str | None = None


def pip_installs(commands: Iterable[ShellCommand]) -> Iterator[PipInstall]:
    """Return every `pip install` among commands, by whatever name pip is called (`uv pip` too)."""
    for words in _words(commands):
        at = next((at for at, word in enumerate(words) if _PIP.fullmatch(word)), None)
        if at is None:
            continue
        rest = words[at + 1 :]
        begin = next((at for at, word in enumerate(rest) if not word.startswith("-")), None)
        if begin is not None and rest[begin] == "install":
            program = _PIP.fullmatch(words[at])
            yield _pip_install(rest[begin + 1 :], None if program is None else program["folder"])


def system_packages(commands: Iterable[ShellCommand]) -> Iterator[str]:
    """Return the words that follow `apt-get install`, `apk add` and the like."""
    for words in _words(commands):
        at = next((at for at, word in enumerate(words) if _SYSTEM.fullmatch(word)), None)
        if at is not None and {"install", "add"} & set(words[at:]):
            yield from (word for word in words[at + 1 :] if not word.startswith("-"))


def _words(commands: Iterable[ShellCommand]) -> Iterator[list[str]]:
    return ([word.text for word in command.words] for command in commands)


def _pip_install(words: Sequence[str], folder: str | None) -> PipInstall:
    requirements: list[str] = []
    files: dict[str, list[str]] = {"-r": [], "-c": []}
    rest = iter(words)
    for word in rest:
        option, has_value, value = word.partition("=")
        if option in _FILES:
            files[_FILES[option]].append(value if has_value else next(rest, ""))
        elif word[:2] in ("-r", "-c") and not word.startswith("--"):
            files[word[:2]].append(word[2:])
        elif option in _FOLDERS:
            folder = value if has_value else next(rest, "")
        elif word in _VALUED:
            next(rest, None)
        elif not word.startswith("-"):
            requirements.append(word)
    return PipInstall(tuple(requirements), tuple(files["-r"]), tuple(files["-c"]), folder)
