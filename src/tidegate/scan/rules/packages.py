"""Rules on package managers: nothing left behind, nothing that is not asked for, nothing that is not signed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tidegate.dockerfile.model import Dockerfile, Script
from tidegate.dockerfile.shell import ShellCommand
from tidegate.scan.records import Hit, Rule, Severity

APT_LISTS = Rule(
    "apt-lists",
    Severity.WARNING,
    "apt's package lists stay in the image.",
    "They are megabytes that nobody reads again. End the same RUN with an `rm -rf` of what is in the folder "
    "`lib/apt/lists` below `/var`, or mount a cache over it: `RUN --mount=type=cache,target=…`.",
    covers=("DL3009",),
)
APT_UPDATE = Rule(
    "apt-update-apart",
    Severity.WARNING,
    "apt-get update and apt-get install are in different RUNs.",
    "The layer of the update is cached, and months later the install takes old lists: old packages, or none. Write "
    "both in one RUN.",
)
APT_RECOMMENDS = Rule(
    "apt-recommends",
    Severity.INFO,
    "apt-get install takes recommended packages, too.",
    "Each is more to download and more to patch. Add `--no-install-recommends`.",
    covers=("DL3015",),
)
UNSIGNED_PACKAGES = Rule(
    "unsigned-packages",
    Severity.ERROR,
    "Packages are installed without a check of their signature.",
    "Whoever is between the build and the mirror decides what is installed. Install the repository's key.",
)

#: Programs that install packages, and the words with which they do.
INSTALLERS: Final = {
    "apk": ("add",),
    "apt": ("install",),
    "apt-get": ("install",),
    "aptitude": ("install",),
    "dnf": ("install",),
    "microdnf": ("install",),
    "yum": ("install",),
    "zypper": ("install", "in"),
    "pacman": ("-S", "-Sy", "-Syu"),
}
_APT: Final = frozenset({"apt", "apt-get", "aptitude"})
_LISTS: Final = re.compile(r"/var/lib/apt(?:/lists)?(?:/\*|/)?|/var/lib/apt/lists/.*")
_UNSIGNED: Final = frozenset(
    {"--allow-unauthenticated", "--force-yes", "--allow-untrusted", "--nogpgcheck", "--no-gpg-checks"}
)
_WITHOUT_RECOMMENDS: Final = re.compile(r"--no-install-recommends|.*Install-Recommends=(?:0|false|no)", re.I)
_TRUSTED: Final = re.compile(r"\btrusted\s*=\s*yes\b", re.I)


def installed_by(command: ShellCommand) -> list[str]:
    """Return the packages that a command installs, as written."""
    verbs = INSTALLERS.get(command.program, ())
    words = list(command.arguments)
    at = next((at for at, word in enumerate(words) if word in verbs), None)
    return [] if at is None else [word for word in words[at + 1 :] if not word.startswith("-")]


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    shipped = {stage.index for stage in file.shipped}
    for script in file.scripts:
        yield from _unsigned(script)
        if script.stage in shipped:
            yield from _apt(script)
    for instruction in file.instructions:
        for heredoc in instruction.heredocs:
            if "deb " in heredoc.content and _trusts(heredoc.content):
                yield Hit(UNSIGNED_PACKAGES, heredoc.line, "a package source is trusted without its key (trusted=yes)")


def _apt(script: Script) -> Iterator[Hit]:
    commands = [command for command in script.commands if command.program in _APT]
    updates = [command for command in commands if "update" in command.arguments]
    installs = [command for command in commands if "install" in command.arguments]
    if updates and not installs and not any(_upgrades(command) for command in commands):
        yield Hit(APT_UPDATE, script.line_of(updates[0]), "apt-get update without an install in the same RUN")
    if updates and not _lists_are_gone(script):
        message = "apt's lists stay in the layer; end this RUN with rm -rf /var/lib/apt/lists/*"
        yield Hit(APT_LISTS, script.line_of(updates[0]), message)
    for command in installs:
        if not any(_WITHOUT_RECOMMENDS.fullmatch(word) for word in command.arguments) and _takes_packages(command):
            yield Hit(
                APT_RECOMMENDS, script.line_of(command), f"{command.program} install without --no-install-recommends"
            )


def _upgrades(command: ShellCommand) -> bool:
    return any(
        word in ("upgrade", "dist-upgrade", "full-upgrade", "build-dep", "download", "source")
        for word in command.arguments
    )


def _takes_packages(command: ShellCommand) -> bool:
    """True unless all that is installed is files that are there already."""
    return not all(word.startswith(("/", "./")) for word in installed_by(command))


def _lists_are_gone(script: Script) -> bool:
    for flag in script.instruction.all_flags("mount"):
        fields = dict(part.partition("=")[::2] for part in flag.split(","))
        target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
        if fields.get("type") in ("cache", "tmpfs") and _LISTS.fullmatch(target):
            return True
    for command in script.commands:
        if command.program == "rm" and any(_LISTS.fullmatch(word) for word in command.arguments):
            return True
        if (
            command.program == "find"
            and "-delete" in command.arguments
            and any(_LISTS.fullmatch(word) for word in command.arguments)
        ):
            return True
    return False


def _trusts(text: str) -> bool:
    """True where a source of packages needs no key, and is not a folder that the build made itself."""
    return any(_TRUSTED.search(line) and "file:" not in line for line in text.splitlines())


def _unsigned(script: Script) -> Iterator[Hit]:
    for command in script.commands:
        found = _UNSIGNED.intersection(command.arguments) if command.program in INSTALLERS else None
        if found:
            yield Hit(UNSIGNED_PACKAGES, script.line_of(command), f"{command.program} with {min(found)}")
        elif command.program in ("echo", "printf") and _trusts(" ".join(command.arguments)):
            message = "a package source is trusted without its key (trusted=yes)"
            yield Hit(UNSIGNED_PACKAGES, script.line_of(command), message)
