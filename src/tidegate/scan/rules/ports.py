"""Rules on ports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.dockerfile.model import Dockerfile
from tidegate.dockerfile.words import expanded
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.ports import ADMINISTRATION, DATA, named_in
from tidegate.scan.records import Hit, Rule, Severity

SENSITIVE_PORT = Rule(
    "sensitive-port",
    Severity.WARNING,
    "An image exposes, or a service publishes, a port that is not for its users.",
    "A shell, a debugger or the Docker engine belongs into no image; a database or queue is for the services beside "
    "it. Publish those on 127.0.0.1, or not at all: services on one network reach each other without.",
)
_LOOPBACK: Final = ("127.", "::1", "[::1]", "localhost")


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    if file.final is None:
        return
    for instruction, known in file.walk(file.final):
        if instruction.keyword != "EXPOSE":
            continue
        for word in instruction.words:
            written = expanded(word.text, known, instruction.escape) or ""
            for port, what in named_in(written, ADMINISTRATION):
                yield Hit(SENSITIVE_PORT, instruction.line_at(word.offset), f"EXPOSE {port}: {what}")


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        for port in service.published(file):
            if port.address.startswith(_LOOPBACK):
                continue
            for number, what in named_in(port.target, ADMINISTRATION | DATA):
                message = f"service {service.name} publishes {what} ({number}) on every address; bind it to 127.0.0.1"
                yield Hit(SENSITIVE_PORT, port.line, message)
