"""Rules on what a build downloads and runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.dockerfile.model import Dockerfile, Script
from tidegate.dockerfile.shell import ShellCommand, commands_of
from tidegate.dockerfile.words import unquoted
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.records import Hit, Rule, Severity

PIPE_TO_SHELL = Rule(
    "pipe-to-shell",
    Severity.ERROR,
    "A download is run without being looked at: `curl … | sh`.",
    "Whoever answers at that address runs code in the build, today's answer or another. Download it, compare its "
    "checksum (`sha256sum -c`), run it then; or install a package.",
)
TLS_OFF = Rule(
    "tls-off",
    Severity.ERROR,
    "Certificates are not checked.",
    "Anyone on the way may answer instead. Install the authority's certificate (`ca-certificates`), and leave the "
    "check on.",
)

_FETCHERS: Final = frozenset({"curl", "wget", "fetch", "aria2c", "http", "https"})
_INTERPRETERS: Final = frozenset(
    {"sh", "bash", "ash", "dash", "zsh", "ksh", "python", "python2", "python3", "perl", "ruby", "node", "php"}
)
_SOURCING: Final = frozenset({"eval", ".", "source"})
#: Programs through which a download passes as it is, or unpacked.
_FILTERS: Final = frozenset(
    {"tee", "cat", "gunzip", "gzip", "zcat", "sed", "tr", "head", "tail", "base64", "xz", "bzip2"}
)
_UNCHECKED: Final = {
    "curl": ("--insecure",),
    "wget": ("--no-check-certificate",),
    "pip": ("--trusted-host",),
    "pip3": ("--trusted-host",),
    "uv": ("--allow-insecure-host", "--trusted-host"),
    "conda": ("--insecure",),
}
#: Settings that switch the check off, and the values that do.
_SETTINGS: Final = {
    "NODE_TLS_REJECT_UNAUTHORIZED": ("0",),
    "PYTHONHTTPSVERIFY": ("0",),
    "GIT_SSL_NO_VERIFY": ("1", "true"),
    "CURL_INSECURE": ("1",),
    "NPM_CONFIG_STRICT_SSL": ("false",),
}


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    for script in file.scripts:
        for command in script.commands:
            if _runs_download(command):
                message = f"what is downloaded is run by {command.program} without a look at it"
                yield Hit(PIPE_TO_SHELL, script.line_of(command), message)
            why = _unchecked(command)
            if why:
                yield Hit(TLS_OFF, script.line_of(command), f"{command.program} does not check certificates: {why}")
        yield from _exported(script)
    for instruction in file.instructions:
        if instruction.keyword in ("ENV", "ARG"):
            for name, value, line in instruction.pairs:
                if unquoted(value or "", instruction.escape).lower() in _SETTINGS.get(name.upper(), ()):
                    yield Hit(TLS_OFF, line, f"{instruction.keyword} {name} switches the check of certificates off")


def _exported(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        if command.program == "export":
            for word in command.arguments:
                name, _, value = word.partition("=")
                if value.lower() in _SETTINGS.get(name.upper(), ()):
                    message = f"{name} switches the check of certificates off"
                    yield Hit(TLS_OFF, script.line_of(command), message)


def _runs_download(command: ShellCommand) -> bool:
    if command.program in _INTERPRETERS:
        if _reads_its_program(command) and _comes_from_download(command.source):
            return True
        # `sh -c "$(curl …)"`, `bash <(curl …)`
        return any(_is_fetch(inner) for word in command.called[1:] for inner in word.nested)
    if command.program in _SOURCING:
        return any(_is_fetch(inner) for word in command.called[1:] for inner in word.nested)
    return False


def _reads_its_program(command: ShellCommand) -> bool:
    """True where an interpreter reads what it runs from the pipe, and not a file or `-c` that is given."""
    arguments = command.arguments
    if command.program not in ("sh", "bash", "ash", "dash", "zsh", "ksh"):
        return all(word.startswith("-") and word not in ("-c", "-e", "-m", "-n") for word in arguments)
    if "-s" in arguments:
        return True
    at = 0
    while at < len(arguments) and arguments[at].startswith(("-", "+")) and arguments[at] != "-":
        if not arguments[at].startswith("--") and "c" in arguments[at]:
            return False
        at += 2 if arguments[at] in ("-o", "+o", "-O", "+O") else 1
    return at >= len(arguments) or arguments[at] in ("-", "/dev/stdin")


def _comes_from_download(source: ShellCommand | None) -> bool:
    while source is not None:
        if _is_fetch(source):
            return True
        if source.program not in _FILTERS:
            return False
        source = source.source
    return False


def _is_fetch(command: ShellCommand) -> bool:
    return command.program in _FETCHERS or (
        command.source is not None and command.program in _FILTERS and _comes_from_download(command.source)
    )


def _unchecked(command: ShellCommand) -> str | None:
    """Return what switches off a program's check of certificates, or None."""
    arguments = command.arguments
    for word in arguments:
        if word.partition("=")[0] in _UNCHECKED.get(command.program, ()):
            return word.partition("=")[0]
    if command.program == "curl":
        # Short options are joined: `-fsSLk`. What follows the letter of one that takes a value is that value.
        return next((word for word in arguments if _is_insecure_letter(word)), None)
    joined = " ".join(arguments).lower()
    if command.program == "git" and "http.sslverify=false" in joined.replace(
        "http.sslverify false", "http.sslverify=false"
    ):
        return "http.sslVerify=false"
    if command.program in ("npm", "yarn", "pnpm") and "strict-ssl" in joined and "false" in joined:
        return "strict-ssl false"
    return None


def _is_insecure_letter(word: str) -> bool:
    if not word.startswith("-") or word.startswith("--"):
        return False
    for letter in word[1:]:
        if letter == "k":
            return True
        if letter in "AbcCdDeEFhHKmoPQrtTuUwxXYyz":
            return False
    return False


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        for name, value in service.environment.items():
            if value is not None and (file.resolved(value) or "").lower() in _SETTINGS.get(name.upper(), ()):
                yield Hit(TLS_OFF, value.line, f"service {service.name}: {name} switches the check of certificates off")
        command = service.value("command")
        text = file.resolved(command) if command is not None and not command.is_list else None
        for inner in commands_of(text or ""):
            if command is not None and _runs_download(inner):
                message = f"service {service.name} runs what it downloads without a look at it"
                yield Hit(PIPE_TO_SHELL, command.line, message)
