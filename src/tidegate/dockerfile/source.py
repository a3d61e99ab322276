"""The text of a Dockerfile as instructions, by the rules of BuildKit's parser.

Told apart are: parser directives (the first lines; `escape` changes what continues a line), comments, lines that are
continued (comments and empty lines within them do not count), here-documents of RUN, COPY and ADD, the flags of an
instruction, its JSON form, and what ONBUILD holds for later. Where a line is wrong it is noted, and the next is read:
one typing error does not hide what else is wrong.

Source: the Dockerfile reference, "Format", "Parser directives", "Here-Documents".
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from tidegate.dockerfile.words import Word, split_words, unquoted

KEYWORDS: Final = frozenset(
    {
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    }
)
_WITH_HEREDOC: Final = frozenset({"ADD", "COPY", "RUN"})
_DIRECTIVE: Final = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES: Final = frozenset({"syntax", "escape", "check"})
_HEREDOC: Final = re.compile(r"(\d*)<<(-?)([^<]+)")


@dataclass(frozen=True)
class Problem:
    """What cannot be read, at a line (from 1)."""

    line: int
    message: str


@dataclass(frozen=True)
class Comment:
    """A comment without its `#`, at a line (from 1)."""

    line: int
    text: str


@dataclass(frozen=True)
class Heredoc:
    """A here-document: `content` is all between its lines, `line` its first; `expands` where variables in it count."""

    name: str
    content: str
    line: int
    expands: bool


@dataclass(frozen=True)
class Instruction:
    """One instruction, whole.

    Attributes:
        keyword: in capitals; of ONBUILD, the keyword of what it holds.
        flags: `--name=value` as written, in order.
        text: what follows, with continued lines joined.
        line, end_line: from 1; here-documents belong to it.
        marks: offsets in `text` at which a line of the file begins, with that line.
        comments: those above it, back to the instruction before, and those among its lines.
        escape: the character that escapes in this file.
        is_onbuild: it is held for the build of an image on top of this.
    """

    keyword: str
    flags: tuple[str, ...]
    text: str
    line: int
    end_line: int
    marks: tuple[tuple[int, int], ...]
    comments: tuple[Comment, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()
    escape: str = "\\"
    is_onbuild: bool = False

    def line_at(self, offset: int) -> int:
        """Return the line of the file in which an offset of `text` is."""
        at = bisect_right(self.marks, offset, key=lambda mark: mark[0])
        return self.marks[at - 1][1] if at else self.line

    @cached_property
    def json(self) -> tuple[str, ...] | None:
        """The words of the JSON (exec) form, or None in any other."""
        if not self.text.startswith("["):
            return None
        try:
            read = json.loads(self.text)
        except (ValueError, RecursionError):
            return None
        return tuple(read) if all(isinstance(word, str) for word in read) else None

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words, with their quotes; of the JSON form as they are."""
        if self.json is not None:
            return tuple(Word(word, 0) for word in self.json)
        return split_words(self.text, self.escape)

    @cached_property
    def pairs(self) -> tuple[tuple[str, str | None, int], ...]:
        """Of ENV, ARG and LABEL: names, values with their quotes (None where none is given), and their lines."""
        if not self.words:
            return ()
        if self.keyword != "ARG" and "=" not in self.words[0].text:
            name, _, value = self.text.partition(" ")
            return ((name, value.strip(), self.line),)
        cut = [(*word.text.partition("="), self.line_at(word.offset)) for word in self.words]
        return tuple(
            (unquoted(name, self.escape), value if equals else None, line) for name, equals, value, line in cut
        )

    def flag(self, name: str) -> str | None:
        """Return the value of the first flag `--name=value`, empty for a flag without, or None."""
        return next(iter(self.all_flags(name)), None)

    def all_flags(self, name: str) -> tuple[str, ...]:
        """Return the values of all flags of a name."""
        cut = [flag.partition("=") for flag in self.flags]
        return tuple(value for left, _, value in cut if left == f"--{name}")


@dataclass(frozen=True)
class Source:
    """A Dockerfile as its instructions. `trailing` are the comments below the last of them."""

    instructions: tuple[Instruction, ...]
    problems: tuple[Problem, ...]
    trailing: tuple[Comment, ...]
    escape: str


def read_source(text: str) -> Source:
    """Take a Dockerfile apart; any text is read, and what is wrong in it is among the problems."""
    return _Reader(text).read()


class _Reader:
    """One pass over the lines."""

    def __init__(self, text: str) -> None:
        self.lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
        self.at = 0
        self.escape = "\\"
        self.problems: list[Problem] = []
        self.comments: list[Comment] = []

    def read(self) -> Source:
        self._directives()
        found: list[Instruction] = []
        while self.at < len(self.lines):
            line = self.lines[self.at].lstrip()
            self.at += 1
            if line.startswith("#"):
                self._comment(line)
            elif line:
                instruction = self._instruction(line)
                if instruction is not None:
                    found.append(instruction)
        return Source(tuple(found), tuple(self.problems), tuple(self.comments), self.escape)

    def _directives(self) -> None:
        """Read the parser directives: they are comments at the very top, each at most once."""
        seen: set[str] = set()
        for number, line in enumerate(self.lines, start=1):
            match = _DIRECTIVE.fullmatch(line.lstrip())
            name = match[1].lower() if match else ""
            if match is None or name not in _DIRECTIVES:
                return
            if name in seen:
                self.problems.append(Problem(number, f"the parser directive `{name}` is there twice"))
            seen.add(name)
            if name == "escape":
                if match[2] in ("\\", "`"):
                    self.escape = match[2]
                else:
                    self.problems.append(Problem(number, "`escape` must be \\ or `"))

    def _comment(self, line: str) -> None:
        self.comments.append(Comment(self.at, line[1:].strip()))

    def _instruction(self, first: str) -> Instruction | None:
        start = self.at
        piece, goes_on = self._cut(first)
        pieces = [(start, piece)]
        while goes_on and self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if line.lstrip().startswith("#"):
                self._comment(line.lstrip())
            elif line.strip():
                piece, goes_on = self._cut(line)
                pieces.append((self.at, piece))
        read = self._with_keyword(pieces, start)
        if read is None:
            self.comments.clear()
            return None
        heredocs = self._heredocs(read)
        read = replace(read, heredocs=heredocs, end_line=self.at, comments=tuple(self.comments))
        self.comments.clear()
        return read

    def _cut(self, line: str) -> tuple[str, bool]:
        """Return a line without what continues it, and whether it is continued. Escaped, that character does not."""
        bare = line.rstrip(" \t")
        if not bare.endswith(self.escape) or bare[:-1].endswith(self.escape):
            return line, False
        return bare[:-1], True

    def _with_keyword(self, pieces: list[tuple[int, str]], start: int) -> Instruction | None:
        joined, marks = "", []
        for number, piece in pieces:
            marks.append((len(joined), number))
            joined += piece
        keyword, offset = _first_word(joined, 0)
        is_onbuild = keyword.upper() == "ONBUILD"
        if is_onbuild:
            keyword, offset = _first_word(joined, offset)
        name = keyword.upper()
        if name not in KEYWORDS or (is_onbuild and name in {"ONBUILD", "FROM", "MAINTAINER"}):
            what = f"`{keyword[:40]}`" if keyword else "nothing"
            self.problems.append(Problem(start, f"{what} is no instruction{' that ONBUILD takes' * is_onbuild}"))
            return None
        flags, offset = _flags(joined, offset, self.escape)
        text = joined[offset:].rstrip()
        if not text and name not in {"HEALTHCHECK"}:
            self.problems.append(Problem(start, f"{name} needs an argument"))
            return None
        moved = tuple((max(at - offset, 0), number) for at, number in marks)
        return Instruction(name, flags, text, start, start, moved, escape=self.escape, is_onbuild=is_onbuild)

    def _heredocs(self, read: Instruction) -> tuple[Heredoc, ...]:
        """Read the here-documents that the line announces, from the lines below it."""
        if read.keyword not in _WITH_HEREDOC or "<<" not in read.text or read.json is not None:
            return ()
        found = []
        for name, is_chomped, expands in heredoc_names(read):
            first = self.at + 1
            body: list[str] = []
            while self.at < len(self.lines):
                line = self.lines[self.at].lstrip("\t") if is_chomped else self.lines[self.at]
                self.at += 1
                if line == name:
                    break
                body.append(line)
            else:
                self.problems.append(Problem(read.line, f"the here-document `{name[:40]}` has no end"))
            found.append(Heredoc(name, "\n".join(body), first, expands))
        return tuple(found)


def heredoc_names(read: Instruction) -> list[tuple[str, bool, bool]]:
    """Return name, whether tabs are cut, and whether variables count, of each here-document that a line announces."""
    found = []
    for word in split_words(read.text, read.escape):
        match = _HEREDOC.fullmatch(word.text)
        if match is None:
            continue
        name = unquoted(match[3], read.escape)
        if name:
            found.append((name, match[2] == "-", name == match[3]))
    return found


def _first_word(text: str, at: int) -> tuple[str, int]:
    """Return the word at or after `at`, and where the next begins."""
    match = re.compile(r"\s*(\S*)\s*").match(text, at)
    return (match[1], match.end()) if match else ("", at)


def _flags(text: str, at: int, escape: str) -> tuple[tuple[str, ...], int]:
    """Return the flags at `at`, without quotes, and where what follows begins."""
    found: list[str] = []
    while text.startswith("--", at):
        end = at
        quote = ""
        while end < len(text) and (quote or not text[end].isspace()):
            if text[end] == escape and quote != "'":
                end += 1
            elif text[end] in "'\"":
                quote = "" if quote == text[end] else quote or text[end]
            end += 1
        flag, at = text[at : min(end, len(text))], _past_spaces(text, end)
        if flag == "--":
            break
        found.append(unquoted(flag, escape))
    return tuple(found), at


def _past_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return min(at, len(text))
