"""Rules on secrets that end up in an image, its history, or a file that is under version control."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.dockerfile.model import Dockerfile
from tidegate.dockerfile.source import Instruction
from tidegate.dockerfile.words import unquoted
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.records import Hit, Rule, Severity
from tidegate.scan.secrets import is_literal, is_secret_file, named_secret, shape_in

SECRET_VALUE = Rule(
    "secret-value",
    Severity.ERROR,
    "A secret is written in ARG, ENV, LABEL, RUN, `environment` or `args`.",
    "Everyone who has the image or the file has the secret, for ever: layers and history keep it. Give it when it is "
    "needed: `RUN --mount=type=secret` for a build, `secrets:` or a file for a service.",
    covers=("DL3064",),
)
SECRET_ARGUMENT = Rule(
    "secret-argument",
    Severity.ERROR,
    "A secret is given to a build as an ARG.",
    "The values of ARG are in the history of the image, where `docker history` shows them. Use `RUN "
    "--mount=type=secret`.",
)
SECRET_FILE = Rule(
    "secret-file",
    Severity.ERROR,
    "COPY or ADD takes a file with secrets into the image.",
    "It stays in its layer, even when a later RUN deletes it. Mount it: `RUN --mount=type=secret` for a build, "
    "`secrets:` or a volume for a service.",
)


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    for instruction in file.instructions:
        if instruction.keyword in ("ARG", "ENV"):
            yield from _variables(instruction)
        elif instruction.keyword in ("COPY", "ADD"):
            yield from _files(instruction)
        if instruction.keyword not in ("ARG", "ENV"):
            yield from _shapes(instruction)


def _variables(instruction: Instruction) -> Iterator[Hit]:
    for name, value, line in instruction.pairs:
        plain = None if value is None else unquoted(value, instruction.escape)
        shape = shape_in(plain or "")
        if shape is not None:
            yield Hit(SECRET_VALUE, line, f"{instruction.keyword} {name} holds {shape}")
        elif not named_secret(name):
            continue
        elif instruction.keyword == "ARG" and not plain:
            yield Hit(SECRET_ARGUMENT, line, f"ARG {name} puts a secret into the image's history")
        elif plain and (is_literal(plain) or plain.startswith("$")):
            yield Hit(SECRET_VALUE, line, f"{instruction.keyword} {name} keeps a secret in the image")


def _files(instruction: Instruction) -> Iterator[Hit]:
    if instruction.flag("from") is not None:
        return
    for word in instruction.words[:-1]:
        name = unquoted(word.text, instruction.escape)
        if is_secret_file(name):
            line = instruction.line_at(word.offset)
            yield Hit(SECRET_FILE, line, f"{instruction.keyword} takes {name} into the image, where it stays")


def _shapes(instruction: Instruction) -> Iterator[Hit]:
    shape = shape_in(instruction.text)
    if shape is not None:
        yield Hit(SECRET_VALUE, instruction.line, f"{instruction.keyword} holds {shape}")
    for heredoc in instruction.heredocs:
        shape = shape_in(heredoc.content)
        if shape is not None:
            yield Hit(SECRET_VALUE, heredoc.line, f"the here-document {heredoc.name} holds {shape}")


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        for where, pairs in (("environment", service.environment), ("build.args", service.build_arguments)):
            for name, value in pairs.items():
                if value is None:
                    continue
                # A default counts: it is what runs where nobody sets the variable.
                plain = file.resolved(value) or ""
                shape = shape_in(plain)
                if shape is not None:
                    yield Hit(SECRET_VALUE, value.line, f"service {service.name}: {name} in {where} holds {shape}")
                elif named_secret(name) and is_literal(plain):
                    message = f"service {service.name}: {name} in {where} is a secret in the open; use `secrets:`"
                    yield Hit(SECRET_VALUE, value.line, message)
