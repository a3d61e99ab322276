"""What hadolint says and does not hold: where it knows less of the file than Tidegate's own parser does."""

from __future__ import annotations

import re
from typing import Final

from tidegate.dockerfile.model import Dockerfile, Script, Stage
from tidegate.dockerfile.source import Instruction
from tidegate.dockerfile.substitution import Variables
from tidegate.dockerfile.words import expanded
from tidegate.scan.records import Finding

#: They write what they are told and do not fail, so that nothing is hidden when the pipe's end says how it went.
_ONLY_WRITES: Final = frozenset({"echo", "printf"})
_PIPE: Final = re.compile(r"(?<!\|)\|(?!\|)")
#: The patterns of a `case`, between which the same sign stands.
_PATTERNS: Final = re.compile(r"(?:\bin|;;)\s*\(?[\w\"'.*?-]+(?:\s*\|\s*[\w\"'.*?-]+)+\s*\)")
#: A group that only writes.
_WRITING_GROUP: Final = re.compile(r"\{(?:\s*(?:echo|printf)\b(?:'[^']*'|\$(?!\()|[^;|&{}$`'])*;)+\s*\}\s*$")


def holds(finding: Finding, file: Dockerfile) -> bool:
    """Return False where what hadolint says of a file is not so, or harms nothing that is shipped."""
    place = _place(file, finding.line)
    if place is None:
        return True
    stage, instruction = place
    scripts = [script for script in file.scripts if script.instruction is instruction]
    if finding.rule.startswith("SC"):
        # It has PowerShell and others read as sh.
        return instruction.keyword != "RUN" or bool(scripts)
    match finding.rule:
        case "DL3019":
            return not scripts or any(_keeps_index(script) for script in scripts)
        case "DL3021":
            return not _is_folder(instruction)
        case "DL3042":
            # A cache in a stage that only builds is in no image, nor is one that the same RUN removes.
            return stage in file.shipped and not any(_removes_cache(script) for script in scripts)
        case "DL3046":
            return any(_makes_high_uid(script, _known_at(file, stage, instruction)) for script in scripts)
        case "DL3067":
            return _adds_something(file, stage, instruction)
        case "DL4006":
            return not scripts or not all(_pipes_only_texts(script) for script in scripts)
    return True


def _place(file: Dockerfile, line: int) -> tuple[Stage, Instruction] | None:
    for stage in file.stages:
        for instruction in stage.body:
            if instruction.line <= line <= instruction.end_line:
                return stage, instruction
    return None


def _keeps_index(script: Script) -> bool:
    adds = [command for command in script.commands if command.program == "apk" and "add" in command.arguments]
    return not adds or any(not {"--no-cache", "--no-network"} & set(command.arguments) for command in adds)


def _removes_cache(script: Script) -> bool:
    return any(command.program == "rm" and ".cache" in " ".join(command.arguments) for command in script.commands)


def _is_folder(instruction: Instruction) -> bool:
    """True where the target is a folder without ending in a slash: `.`, or `/srv/.`."""
    words = instruction.json or tuple(word.text for word in instruction.words)
    return bool(words) and (words[-1] == "." or words[-1].endswith("/."))


def _known_at(file: Dockerfile, stage: Stage, wanted: Instruction) -> Variables:
    for instruction, known in file.walk(stage):
        if instruction is wanted:
            return dict(known)
    return {}


def _makes_high_uid(script: Script, known: Variables) -> bool:
    """True unless each user that is added has a number of at most five digits, as far as that is known."""
    escape = script.instruction.escape
    for command in script.commands:
        if command.program == "useradd":
            words = command.arguments
            after = [words[at + 1] for at, word in enumerate(words[:-1]) if word in ("-u", "--uid")]
            after += [word.partition("=")[2] for word in words if word.startswith("--uid=")]
            if any(len(value) > 5 for value in (expanded(word, known, escape) for word in after) if value):
                return True
    return False


def _adds_something(file: Dockerfile, stage: Stage, instruction: Instruction) -> bool:
    """True where what is copied was made here; an image that is made to be copied whole is what it is."""
    source = instruction.flag("from")
    found = file.stage_named(source, stage.index) if source else None
    return found is not None and any(part.body for part in file.lineage(found))


def _pipes_only_texts(script: Script) -> bool:
    """True where all that is piped is what `echo` writes."""
    signs = {found.start() for found in _PIPE.finditer(script.text)}
    for found in _PATTERNS.finditer(script.text):
        signs -= set(range(*found.span()))
    signs -= {sign for sign in signs if _WRITING_GROUP.search(script.text[:sign])}
    for command in script.commands:
        sign = script.text.rfind("|", 0, command.offset)
        if command.source is not None and command.source.program in _ONLY_WRITES:
            signs.discard(sign)
    # What is left is piped from something else, or from a larger group.
    return not signs
