"""Rules on what a Dockerfile adds, what it ships, how the image starts and how one sees that it is well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tidegate.dockerfile.model import Dockerfile, Script, Stage
from tidegate.dockerfile.source import Instruction
from tidegate.dockerfile.substitution import Variables, substituted
from tidegate.dockerfile.words import unquoted
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.compose.values import Value
from tidegate.scan.records import Hit, Rule, Severity
from tidegate.scan.rules.packages import INSTALLERS, installed_by

ADD_FOR_COPY = Rule(
    "add-for-copy",
    Severity.WARNING,
    "ADD takes local files that are no archive.",
    "ADD also unpacks and downloads, which nobody expects who reads it. COPY only copies.",
    covers=("DL3020",),
)
ADD_UNVERIFIED = Rule(
    "add-unverified",
    Severity.ERROR,
    "ADD downloads something that nothing checks.",
    "Whoever holds the address decides what is in the image. Give `--checksum=sha256:…`, or of a Git repository the "
    "commit: `ADD https://….git#<40 digits>`.",
)
BUILD_TOOLS = Rule(
    "build-tools",
    Severity.WARNING,
    "The final stage holds the compiler that built it.",
    "Compilers make the image larger and help who breaks in. Build in a stage of its own, and `COPY --from` it what it "
    "made.",
)
NO_HEALTHCHECK = Rule(
    "no-healthcheck",
    Severity.WARNING,
    "An image that exposes a port, or a service that keeps running, has no health check.",
    "Without one, a process that hangs counts as well, and nothing that waits for it knows when it is ready.",
)
SHELL_FORM = Rule(
    "shell-form",
    Severity.WARNING,
    "CMD or ENTRYPOINT is in shell form.",
    "A shell then stands between the engine and the program and keeps SIGTERM to itself: the container is killed when "
    'its time is up. Write `["program", "argument"]`, or begin with `exec`.',
    covers=("DL3025",),
)

_REMOTE: Final = re.compile(r"(?:https?|ftp|git|ssh)://|git@", re.I)
_GIT: Final = re.compile(r"(?:git://|git@|ssh://)|\.git(?:#|$)", re.I)
_COMMIT: Final = re.compile(r"#[0-9a-f]{40}(?:$|:)", re.I)
_ARCHIVE: Final = re.compile(r"\.(?:tar|tgz|tbz2?|txz|tar\.(?:gz|bz2|xz|zst))$", re.I)
#: Images that are compilers, and how what they ship is built.
_COMPILER_IMAGES: Final = {
    "golang": ("go", ("build", "install")),
    "rust": ("cargo", ("build", "install")),
    "maven": ("mvn", ()),
    "gradle": ("gradle", ()),
    "gcc": ("gcc", ()),
    "haskell": ("cabal", ("build", "install")),
    "sdk": ("dotnet", ("publish", "build")),
}
_COMPILERS: Final = re.compile(
    r"(?:build-essential|build-base|base-devel|gcc(?:-\d+)?|g\+\+(?:-\d+)?|gcc-c\+\+|clang(?:-\d+)?|cmake|cargo|rustc"
    r"|golang(?:-go)?|maven|gradle|ghc|(?:default|openjdk-?\d+)-jdk(?:-headless)?)(?:[=:~<>].*)?"
)


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    for stage in file.stages:
        own = {id(one) for one in stage.body if one.keyword == "ADD"}
        for instruction, known in file.walk(stage) if own else ():
            if id(instruction) in own:
                yield from _add(instruction, known)
    if file.final is not None:
        yield from _build_tools(file, file.final)
        yield from _start(file, file.final)
        yield from _health(file, file.final)


def _add(instruction: Instruction, known: Variables) -> Iterator[Hit]:
    sources = (
        [] if instruction.heredocs else [unquoted(word.text, instruction.escape) for word in instruction.words[:-1]]
    )
    for source in sources:
        if _REMOTE.match(source):
            resolved = substituted(source, known)
            is_pinned = resolved is None or (_GIT.search(source) and _COMMIT.search(resolved))
            if not is_pinned and instruction.flag("checksum") is None:
                yield Hit(ADD_UNVERIFIED, instruction.line, f"ADD downloads {_shown(source)} without a checksum")
        elif not _ARCHIVE.search(source) and "$" not in source:
            yield Hit(ADD_FOR_COPY, instruction.line, f"ADD {source} copies a file: write COPY")


def _shown(address: str) -> str:
    """Return an address without what may be a password in it."""
    return re.sub(r"//[^/@]*@", "//", address)[:120]


def _build_tools(file: Dockerfile, final: Stage) -> Iterator[Hit]:
    shipped = {stage.index for stage in file.shipped}
    scripts = [script for script in file.scripts if script.stage in shipped]
    base = file.shipped[0].image
    tool, how = _COMPILER_IMAGES.get(base.base if base else "", ("", ()))
    for script in scripts:
        for command in script.commands:
            builds = not how or any(word in how for word in command.arguments[:1])
            if tool and command.program == tool and builds:
                message = (
                    f"{tool} builds in the final stage, which ships the whole of {base.repository if base else ''}"
                )
                yield Hit(BUILD_TOOLS, script.line_of(command), f"{message}; copy the result into a stage without it")
                return
        yield from _left_compilers(script)


def _left_compilers(script: Script) -> Iterator[Hit]:
    """Yield compilers that a RUN installs and does not take away again."""
    if any(_removes(command.program, command.arguments) for command in script.commands):
        return
    for command in script.commands:
        found = [package for package in installed_by(command) if _COMPILERS.fullmatch(package)]
        if found:
            message = f"{', '.join(found[:3])} stays in the final stage; build in a stage of its own"
            yield Hit(BUILD_TOOLS, script.line_of(command), message)


def _removes(program: str, arguments: tuple[str, ...]) -> bool:
    return program in INSTALLERS and any(
        word in ("purge", "remove", "autoremove", "del", "erase") for word in arguments
    )


def _start(file: Dockerfile, final: Stage) -> Iterator[Hit]:
    last: dict[str, Instruction] = {}
    for stage in file.shipped:
        last |= {one.keyword: one for one in stage.body if not one.is_onbuild}
    for keyword in ("ENTRYPOINT", "CMD"):
        found = last.get(keyword)
        if found is None or found.json is not None or found.text.startswith("exec "):
            continue
        looks_like_json = found.text.startswith("[")
        what = (
            "is meant as JSON and is none: use double quotes"
            if looks_like_json
            else 'is in shell form; write ["…", "…"]'
        )
        yield Hit(SHELL_FORM, found.line, f"{keyword} {what}")


def _health(file: Dockerfile, final: Stage) -> Iterator[Hit]:
    exposes, check = False, None
    for stage in file.shipped:
        for instruction in stage.body:
            exposes |= instruction.keyword == "EXPOSE"
            check = instruction if instruction.keyword == "HEALTHCHECK" and not instruction.is_onbuild else check
    if exposes and check is None:
        yield Hit(NO_HEALTHCHECK, final.start.line, "the final stage exposes a port and has no HEALTHCHECK")
    elif exposes and check is not None and check.text.strip().upper() == "NONE":
        yield Hit(NO_HEALTHCHECK, check.line, "HEALTHCHECK NONE: nothing tells whether the service is well")


def has_healthcheck(file: Dockerfile, stage: Stage) -> bool:
    """True where an image that ends with this stage has a health check of its own."""
    checks = [one for part in file.lineage(stage) for one in part.body if one.keyword == "HEALTHCHECK"]
    return bool(checks) and checks[-1].text.strip().upper() != "NONE"


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    waited_for = {name for service in file.services for name in service.awaited_ends}
    for service in file.services:
        if not service.is_whole or service.name in waited_for or service.restart == "no":
            continue
        check = service.value("healthcheck")
        if check is not None:
            disabled = check.get("disable")
            if (disabled is not None and disabled.is_true) or _is_none(check.get("test")):
                yield Hit(NO_HEALTHCHECK, check.line, f"service {service.name} switches its health check off")
            continue
        built = file.builds.get(service.name)
        if built is None or built.stage is None or not has_healthcheck(built.file, built.stage):
            yield Hit(NO_HEALTHCHECK, service.line, f"service {service.name} has no healthcheck")


def _is_none(test: Value | None) -> bool:
    if test is None:
        return False
    words = [item.text for item in test.items] if test.is_list else [test.text]
    return [word.upper() for word in words] == ["NONE"]
