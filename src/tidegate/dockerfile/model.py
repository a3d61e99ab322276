"""A Dockerfile as its stages: which builds on which, what is shipped, which variables are known where."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tidegate.dockerfile.images import ImageName
from tidegate.dockerfile.shell import ShellCommand, ShellWord, commands_of
from tidegate.dockerfile.source import Instruction, Problem, Source, read_source
from tidegate.dockerfile.substitution import Variables
from tidegate.dockerfile.words import expanded

#: Shells whose scripts can be read.
_POSIX: Final = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next.

    Attributes:
        name: after AS, in small letters, or None.
        base: what FROM names with variables replaced, or None where one of them is not known.
        written: the same, where variables that are not known stay as they are written.
        parent: index of the stage that it builds on, or None where that is an image.
        start: its FROM.
        body: what follows.
    """

    index: int
    name: str | None
    base: str | None
    written: str
    parent: int | None
    start: Instruction
    body: tuple[Instruction, ...]

    @property
    def image(self) -> ImageName | None:
        """The image that it builds on; None for a stage, `scratch` and what is not known."""
        if self.parent is not None or not self.base or self.base == "scratch":
            return None
        return ImageName.parse(self.base)


@dataclass(frozen=True)
class Script:
    """What one RUN has a POSIX shell do.

    Attributes:
        heredoc_line: where the script is a here-document, its first line; else None.
        is_written_out: offsets of the commands are offsets in the instruction's text.
    """

    instruction: Instruction
    stage: int
    text: str
    commands: tuple[ShellCommand, ...]
    heredoc_line: int | None = None
    is_written_out: bool = True

    def line_of(self, part: ShellCommand | ShellWord) -> int:
        """Return the line of the file in which a command or word begins."""
        if self.heredoc_line is not None:
            return self.heredoc_line + self.text.count("\n", 0, part.offset)
        return self.instruction.line_at(part.offset) if self.is_written_out else self.instruction.line


@dataclass(frozen=True)
class Dockerfile:
    """A whole file. `before` is what comes before the first FROM."""

    source: Source
    before: tuple[Instruction, ...]
    stages: tuple[Stage, ...]
    problems: tuple[Problem, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return self.source.instructions

    @property
    def final(self) -> Stage | None:
        """The stage that is shipped unless a build names another; None where there is none."""
        return self.stages[-1] if self.stages else None

    @cached_property
    def shipped(self) -> tuple[Stage, ...]:
        """The stages whose instructions make the final image, the first one first."""
        return self.lineage(self.final) if self.final else ()

    def lineage(self, stage: Stage) -> tuple[Stage, ...]:
        """Return a stage after those that it builds on."""
        found = [stage]
        while found[-1].parent is not None:
            found.append(self.stages[found[-1].parent])
        return tuple(reversed(found))

    @cached_property
    def _lineages(self) -> tuple[frozenset[int], ...]:
        """By stage, its number and those of the stages that it builds on."""
        found: list[frozenset[int]] = []
        for stage in self.stages:
            found.append(frozenset({stage.index}) | (frozenset() if stage.parent is None else found[stage.parent]))
        return tuple(found)

    def family(self, index: int, end: int | None = None) -> frozenset[int]:
        """Return the numbers of a stage, of those that it builds on and of those that build on it.

        Args:
            end: of these stages, those before this number only.
        """
        lineages = self._lineages[:end]
        return lineages[index] | {other for other, lineage in enumerate(lineages) if index in lineage}

    def stage_named(self, name: str, end: int | None = None) -> Stage | None:
        """Return the stage of a name or number, as `--target` and `--from` give it.

        Args:
            end: only stages before this number are there, as for a `--from` in the stage of this number.
        """
        stages = self.stages[:end]
        found = next((stage for stage in reversed(stages) if stage.name == name.lower()), None)
        if found is None and re.fullmatch(r"[0-9]{1,5}", name) and int(name) < len(stages):
            return stages[int(name)]
        return found

    def walk(
        self, stage: Stage, arguments: Variables | None = None, *, keeps: bool = False
    ) -> Iterator[tuple[Instruction, Variables]]:
        """Yield the instructions that make a stage, its parents' first, each with the variables known there.

        The variables are a view that changes with the next step.

        Args:
            arguments: what a build gives for ARG.
            keeps: in values, what is unknown stays as it is written; else such a value is unknown as a whole.
        """
        given = arguments or {}
        everywhere = {**arguments_before(self.before, given), **given}
        env: dict[str, str | None] = {}
        # A stage knows the ARGs of the stages that it builds on, too.
        local: dict[str, str | None] = {}
        known = ChainMap(env, local)
        for part in self.lineage(stage):
            for instruction in part.body:
                yield instruction, known
                if instruction.is_onbuild or instruction.keyword not in ("ARG", "ENV"):
                    continue
                escape = instruction.escape
                if instruction.keyword == "ENV":
                    # The values of one line see the variables as they were before it.
                    pairs = instruction.pairs
                    env |= {name: expanded(value or "", known, escape, keeps=keeps) for name, value, _ in pairs}
                    continue
                for name, value, _ in instruction.pairs:
                    if name in given or value is None:
                        # Declared again without a value it is what it was.
                        local[name] = everywhere.get(name, local.get(name))
                    else:
                        local[name] = expanded(value, known, escape, keeps=keeps)

    @cached_property
    def scripts(self) -> tuple[Script, ...]:
        """What the RUNs of all stages have a POSIX shell do; other shells and languages are left out."""
        found: list[Script] = []
        shells: list[bool] = []
        for stage in self.stages:
            is_posix = shells[stage.parent] if stage.parent is not None else self.source.escape == "\\"
            for instruction in stage.body:
                if instruction.keyword == "SHELL":
                    # A shell may be called by another program: `conda run -n name /bin/bash -c`.
                    is_posix = any(_base(word) in _POSIX for word in instruction.json or ())
                elif instruction.keyword == "RUN":
                    found += scripts_of(instruction, stage.index, is_posix=is_posix)
            shells.append(is_posix)
        return tuple(found)


def read_dockerfile(text: str, arguments: Variables | None = None) -> Dockerfile:
    """Take a Dockerfile apart; any text is read, and what is wrong in it is among the problems.

    Args:
        arguments: what a build gives for ARG, where it counts for FROM.
    """
    source = read_source(text)
    problems = list(source.problems)
    starts = [at for at, one in enumerate(source.instructions) if one.keyword == "FROM"]
    before = source.instructions[: starts[0]] if starts else source.instructions
    if not starts:
        problems.append(Problem(1, "there is no FROM"))
    for instruction in before:
        if starts and instruction.keyword != "ARG":
            problems.append(Problem(instruction.line, f"{instruction.keyword} before the first FROM; only ARG may be"))
    known = arguments_before(before, arguments or {})
    stages: list[Stage] = []
    named: dict[str, int] = {}
    for at, end in zip(starts, [*starts[1:], len(source.instructions)], strict=bool(starts)):
        body = source.instructions[at + 1 : end]
        stage, wrong = _stage(source.instructions[at], body, known, named, index=len(stages))
        stages.append(stage)
        problems += wrong
        if stages[-1].name:
            named[stages[-1].name] = stages[-1].index
    return Dockerfile(source, before, tuple(stages), tuple(problems))


def arguments_before(before: tuple[Instruction, ...], given: Variables) -> dict[str, str | None]:
    """Return what the ARGs before the first FROM come to; None for one without a value.

    Args:
        given: what a build gives for ARG.
    """
    known: dict[str, str | None] = {}
    for instruction in before:
        if instruction.keyword == "ARG":
            for name, value, _ in instruction.pairs:
                default = None if value is None else expanded(value, known, instruction.escape)
                known[name] = given.get(name, default)
    return known


def scripts_of(instruction: Instruction, stage: int, *, is_posix: bool) -> Iterator[Script]:
    """Yield what a RUN has a shell do.

    Args:
        is_posix: the stage's shell is one of POSIX. Another's commands are not read, but those of a here-document that
            names its own program.
    """
    if instruction.json is not None:
        yield from _script_of_words(instruction, stage, instruction.json)
        return
    if not instruction.heredocs:
        if is_posix:
            yield Script(instruction, stage, instruction.text, commands_of(instruction.text))
        return
    own = commands_of(instruction.text) if is_posix else ()
    if any(command.words for command in own):
        yield Script(instruction, stage, instruction.text, own)
    reader = own[0].program if own and own[0].words else ""
    if reader not in _POSIX and (reader or not is_posix):
        return
    for heredoc in instruction.heredocs:
        if _is_posix_script(heredoc.content):
            commands = commands_of(heredoc.content)
            yield Script(instruction, stage, heredoc.content, commands, heredoc_line=heredoc.line)


def _stage(
    start: Instruction,
    body: tuple[Instruction, ...],
    known: Variables,
    named: dict[str, int],
    *,
    index: int,
) -> tuple[Stage, list[Problem]]:
    words = [word.text for word in start.words]
    name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else None
    wrong = []
    if len(words) not in (1, 3) or (len(words) == 3 and name is None):
        wrong.append(Problem(start.line, "FROM takes an image, and a name after AS"))
    base = expanded(words[0], known, start.escape) if words else None
    written = base
    if words and base is None:
        written = expanded(words[0], known, start.escape, keeps=True) or words[0]
    return Stage(index, name, base, written or "", named.get(base.lower()) if base else None, start, body), wrong


def _script_of_words(instruction: Instruction, stage: int, words: tuple[str, ...]) -> Iterator[Script]:
    """Yield what the JSON form runs: the script after `-c` of a shell, else the one command."""
    if words and _base(words[0]) in _POSIX and "-c" in words[1:-1]:
        script = words[words.index("-c") + 1]
        yield Script(instruction, stage, script, commands_of(script), is_written_out=False)
    elif words:
        command = ShellCommand(tuple(ShellWord(word, 0) for word in words), 0)
        yield Script(instruction, stage, "", (command,), is_written_out=False)


def _base(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".exe").lower()


def _is_posix_script(text: str) -> bool:
    """True unless its first line names another program."""
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return True
    words = [_base(word) for word in first[2:].split()]
    return any(word in _POSIX for word in words[:2])
