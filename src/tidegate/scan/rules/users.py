"""Rules on who runs, and who can become somebody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tidegate.dockerfile.model import Dockerfile
from tidegate.dockerfile.shell import ShellCommand
from tidegate.dockerfile.source import Instruction
from tidegate.dockerfile.words import expanded
from tidegate.scan.compose.services import ComposeFile
from tidegate.scan.records import Hit, Rule, Severity

ROOT_USER = Rule(
    "root-user",
    Severity.ERROR,
    "The final stage runs as root, or nothing says as whom.",
    "Who breaks into the process is root in the container, and one flaw of the kernel away from root on the machine. "
    "End with `USER` and a name or number that is not root. A program that starts as root to give that up needs an "
    "ignore that says so, but for `gosu`, `su-exec`, `setpriv` and `runuser`, which are recognised in ENTRYPOINT. "
    "Where that is a script, an image that brings `gosu` or `su-exec` is believed to use it there.",
    covers=("DL3002",),
)
SETUID = Rule(
    "setuid",
    Severity.WARNING,
    "A file gets the setuid bit.",
    "Whoever runs the file has its owner's rights, root's as a rule. Leave the bit away, or grant one capability.",
)

#: Images whose own user is not root, by what their names say.
_UNPRIVILEGED: Final = re.compile(r"nonroot|unprivileged|rootless|(?:^|/)cgr\.dev/chainguard/|/nanoserver\b", re.I)
_WINDOWS: Final = re.compile(r"^mcr\.microsoft\.com/(?:windows\b|dotnet/framework/)", re.I)
_STEPS_DOWN: Final = frozenset({"gosu", "su-exec", "setpriv", "runuser"})
#: Of these, programs that nobody has who does not mean to use them.
_BROUGHT_FOR_IT: Final = frozenset({"gosu", "su-exec"})
_OCTAL: Final = re.compile(r"0*([0-7]?)[0-7]{3}")
_SYMBOLIC: Final = re.compile(r"(?:^|,)([ugoa]*)[+=][rwxXt]*s[rwxXt]*(?:$|,)")


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    yield from _root(file)
    yield from _setuid(file)


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        user = service.value("user")
        if user is not None and _is_root(file.resolved(user) or ""):
            yield Hit(ROOT_USER, user.line, f"service {service.name} runs as root; name another user")


def _is_root(user: str) -> bool:
    name = user.partition(":")[0].strip()
    return name.lower() in ("root", "containeradministrator") or (
        name.isdecimal() and int(name[:9]) == 0 and name.strip("0") == ""
    )


def _root(file: Dockerfile) -> Iterator[Hit]:
    if file.final is None:
        return
    last: Instruction | None = None
    user: str | None = None
    entrypoint: tuple[str, ...] = ()
    begins = False
    for instruction, known in file.walk(file.final):
        if instruction.is_onbuild:
            continue
        if instruction.keyword == "USER":
            last, user = instruction, expanded(instruction.text, known, instruction.escape)
        elif instruction.keyword == "ENTRYPOINT":
            entrypoint = instruction.json or tuple(instruction.text.split())
        begins = begins or instruction.keyword in ("ENTRYPOINT", "CMD")
    if any(_base(word) in _STEPS_DOWN for word in entrypoint[:4]) or _steps_down_in_script(file, entrypoint):
        return
    if last is not None:
        if user is not None and _is_root(user):
            yield Hit(ROOT_USER, last.line, f"the final stage ends as {user}; end with a USER that is not root")
        return
    base = file.shipped[0]
    if base.base == "scratch" and not begins:
        # Files to take out of it (`docker build --output`): there is nothing to run, and no shell.
        return
    if base.base is not None and not _UNPRIVILEGED.search(base.base):
        root = "ContainerAdministrator" if _WINDOWS.search(base.base) else "root"
        who = (
            "as root" if base.base == "scratch" else f"as {base.base} does, which is {root} unless that says otherwise"
        )
        yield Hit(ROOT_USER, file.final.start.line, f"nothing names a USER, so the final stage runs {who}")


def _steps_down_in_script(file: Dockerfile, entrypoint: tuple[str, ...]) -> bool:
    """True where the image begins with a script and has brought a program that such scripts give root up with."""
    if not entrypoint or not entrypoint[0].endswith(".sh"):
        return False
    shipped = {stage.index for stage in file.shipped}
    words = [
        word.text for script in file.scripts if script.stage in shipped for one in script.commands for word in one.words
    ]
    copied = [word.text for stage in file.shipped for one in stage.body if one.keyword == "COPY" for word in one.words]
    return any(_base(word) in _BROUGHT_FOR_IT for word in (*words, *copied))


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _setuid(file: Dockerfile) -> Iterator[Hit]:
    for script in file.scripts:
        for command in script.commands:
            mode = _mode_of(command)
            if mode is not None and _sets_uid(mode):
                message = f"{command.program} sets the setuid bit ({mode})"
                yield Hit(SETUID, script.line_of(command), message)
    for stage in file.stages:
        for instruction in stage.body:
            mode = instruction.flag("chmod") if instruction.keyword in ("COPY", "ADD") else None
            if mode is not None and _sets_uid(mode):
                yield Hit(SETUID, instruction.line, f"{instruction.keyword} --chmod={mode} sets the setuid bit")


def _mode_of(command: ShellCommand) -> str | None:
    """Return the mode that `chmod` or `install` sets, or None."""
    arguments = command.arguments
    if command.program == "chmod":
        # `-s` takes the bit away; every other word with a dash is an option.
        return next((word for word in arguments if not word.startswith("-")), None)
    if command.program == "install":
        for at, word in enumerate(arguments):
            if word in ("-m", "--mode") and at + 1 < len(arguments):
                return arguments[at + 1]
            if word.startswith("--mode="):
                return word.removeprefix("--mode=")
            if re.fullmatch(r"-m\S+", word):
                return word[2:]
    return None


def _sets_uid(mode: str) -> bool:
    octal = _OCTAL.fullmatch(mode)
    if octal is not None:
        return octal[1] in ("4", "5", "6", "7")
    # Of the group alone it is common and useful on a folder.
    return any(who == "" or "u" in who or "a" in who for who in _SYMBOLIC.findall(mode))
