"""Shell scripts as the commands that they run: enough of POSIX sh and bash to know who is called with which words.

No variable is looked up and nothing is run. What a script computes (`eval`, a command in a variable) stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

#: Words that stand before a command and are none.
_RESERVED: Final = frozenset(
    {"if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}", "time"}
)
#: Programs that run what follows them, and their options that take a word.
_WRAPPERS: Final = {
    "command": "",
    "env": "uC",
    "eatmydata": "",
    "exec": "a",
    "gosu": "",
    "nice": "n",
    "nohup": "",
    "su-exec": "",
    "sudo": "ugCphrtTU",
    "timeout": "ks",
    "xargs": "aEIiLnPs",
}
#: These run another command after a word of their own: a user, a time.
_WITH_OPERAND: Final = frozenset({"gosu", "su-exec", "timeout"})
_OPERATORS: Final = ("&&", "||", "|&", ";;", ";&", "&", ";", "|", "\n", "(", ")")
_REDIRECTION: Final = re.compile(r"(?:\d*(<<<|<<-|<<|<>|<&|>>|>&|>\||<(?!\()|>(?!\()))|&>>?")
#: What means nothing but itself in a word.
_PLAIN: Final = re.compile(r"[^\s;|&()<>`\\'\"$]+")
_DEEPEST: Final = 12


@dataclass(frozen=True)
class ShellWord:
    """A word without quotes; `$NAME` in it is as written. `nested` are the commands of its substitutions."""

    text: str
    offset: int
    nested: tuple[ShellCommand, ...] = ()


@dataclass(frozen=True)
class ShellCommand:
    """One simple command, without redirections and assignments.

    Attributes:
        words: program and arguments; empty where there are but assignments.
        offset: of its first word in the script.
        source: what is piped into it, or None.
    """

    words: tuple[ShellWord, ...]
    offset: int
    source: ShellCommand | None = None
    redirected: tuple[ShellWord, ...] = field(default=(), repr=False)

    @cached_property
    def called(self) -> tuple[ShellWord, ...]:
        """The words from the program on that does the work, past `sudo`, `env`, `exec` and their like."""
        words = self.words
        for _ in range(len(self.words)):
            if not words:
                break
            name = words[0].text.rpartition("/")[2]
            if name not in _WRAPPERS:
                break
            words = _unwrapped(name, words[1:])
        return words

    @cached_property
    def program(self) -> str:
        """The name of the program that does the work, without its folder; empty where there is none."""
        called = self.called
        return called[0].text.rpartition("/")[2] if called else ""

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.called[1:])

    def all_nested(self) -> Iterator[ShellCommand]:
        """Yield the commands within its words and redirections."""
        for word in (*self.words, *self.redirected):
            yield from word.nested


def commands_of(script: str) -> tuple[ShellCommand, ...]:
    """Return the commands of a script in order, those within substitutions after the one that they are in."""
    return tuple(_flat(_Parser(script, 0, 0).commands()))


def _flat(commands: tuple[ShellCommand, ...]) -> Iterator[ShellCommand]:
    for command in commands:
        yield command
        yield from _flat(tuple(command.all_nested()))


def _unwrapped(name: str, words: tuple[ShellWord, ...]) -> tuple[ShellWord, ...]:
    """Return the words after a wrapper's own options, assignments and operand."""
    taking = _WRAPPERS[name]
    at = 0
    while at < len(words):
        text = words[at].text
        if text == "--":
            at += 1
            break
        if text.startswith("-") and len(text) > 1:
            at += 2 if len(text) == 2 and text[1] in taking else 1
        elif name in ("env", "sudo") and "=" in text:
            at += 1
        else:
            break
    return words[at + (name in _WITH_OPERAND) :]


class _Parser:
    """One pass over a script, or over the inside of a substitution."""

    def __init__(self, text: str, base: int, depth: int) -> None:
        self.text = text
        self.base = base
        self.depth = depth
        self.at = 0
        self.heredocs: list[tuple[str, bool]] = []

    def commands(self) -> tuple[ShellCommand, ...]:
        found: list[ShellCommand] = []
        words: list[ShellWord] = []
        redirected: list[ShellWord] = []
        piped_from: ShellCommand | None = None

        def end() -> ShellCommand | None:
            nonlocal piped_from
            made = _simple(words, redirected, piped_from)
            words.clear()
            redirected.clear()
            piped_from = None
            if made is not None:
                found.append(made)
            return made

        while self.at < len(self.text):
            char = self.text[self.at]
            operator = next((one for one in _OPERATORS if self.text.startswith(one, self.at)), None)
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "\n" and piped_from is not None and not words:
                # What is piped goes on in the next line.
                self.at += 1
                self._skip_heredocs()
            elif char.isspace() and char != "\n":
                self.at += 1
            elif char == "#":
                self._skip_to("\n")
            elif _REDIRECTION.match(self.text, self.at):
                redirected += self._redirection()
            elif operator is not None:
                self.at += len(operator)
                made = end()
                if operator in ("|", "|&"):
                    piped_from = made
                elif operator == "\n":
                    self._skip_heredocs()
            else:
                words.append(self._word())
        end()
        return tuple(found)

    def _skip_to(self, mark: str) -> None:
        end = self.text.find(mark, self.at)
        self.at = len(self.text) if end < 0 else end

    def _redirection(self) -> list[ShellWord]:
        """Pass a redirection; return the word that it goes to. A here-document's body follows its line."""
        match = _REDIRECTION.match(self.text, self.at)
        if match is None:
            return []
        self.at = match.end()
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        if self.at >= len(self.text) or self.text[self.at] in "\n;|&)":
            return []
        word = self._word()
        if match[1] in ("<<", "<<-"):
            self.heredocs.append((word.text, match[1] == "<<-"))
            return []
        return [word]

    def _skip_heredocs(self) -> None:
        for name, is_chomped in self.heredocs:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if is_chomped else line) == name:
                    break
        self.heredocs.clear()

    def _word(self) -> ShellWord:
        begin = self.at
        parts: list[str] = []
        nested: list[ShellCommand] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith(("<(", ">("), self.at) or self.text.startswith("$(", self.at):
                parts.append(self._substitution(self.at + 2, ")", nested))
            elif char.isspace() or char in ";|&()<>":
                break
            elif char == "`":
                parts.append(self._substitution(self.at + 1, "`", nested))
            elif char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2].replace("\n", ""))
                self.at += 2
            elif char == "'":
                end = self.text.find("'", self.at + 1)
                end = len(self.text) if end < 0 else end
                parts.append(self.text[self.at + 1 : end])
                self.at = end + 1
            elif char == '"':
                self.at += 1
                self._double_quoted(parts, nested)
            elif self.text.startswith("${", self.at):
                parts.append(self._braces())
            else:
                plain = _PLAIN.match(self.text, self.at)
                parts.append(plain[0] if plain else char)
                self.at += len(parts[-1])
        if self.at == begin:
            # What begins no word here (a parenthesis within a pattern) is passed, so that every pass comes to an end.
            self.at += 1
        return ShellWord("".join(parts), self.base + begin, tuple(nested))

    def _double_quoted(self, parts: list[str], nested: list[ShellCommand]) -> None:
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return
            if char == "\\":
                follower = self.text[self.at + 1 : self.at + 2]
                parts.append(follower if follower in '"\\$`' else "" if follower == "\n" else char + follower)
                self.at += 2
            elif self.text.startswith("$(", self.at):
                parts.append(self._substitution(self.at + 2, ")", nested))
            elif char == "`":
                parts.append(self._substitution(self.at + 1, "`", nested))
            else:
                parts.append(char)
                self.at += 1

    def _braces(self) -> str:
        """Pass `${…}`, which may hold spaces; return it as written."""
        end = self.text.find("}", self.at)
        end = len(self.text) if end < 0 else end + 1
        text = self.text[self.at : end]
        self.at = end
        return text

    def _substitution(self, begin: int, closing: str, nested: list[ShellCommand]) -> str:
        """Pass a substitution whose inside begins at `begin`, and read its commands; return it as written."""
        opened = self.at
        end = self._end_of(begin, closing)
        inside = self.text[begin:end]
        self.at = min(end + 1, len(self.text))
        if self.depth < _DEEPEST and not (inside.startswith("(") and closing == ")"):
            nested += _Parser(inside, self.base + begin, self.depth + 1).commands()
        return self.text[opened : self.at]

    def _end_of(self, at: int, closing: str) -> int:
        """Return where a substitution is closed, past quotes and inner parentheses; the end of the text if never."""
        depth = 0
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char == closing and depth == 0:
                return at
            elif char == "'" and closing == ")":
                end = self.text.find("'", at + 1)
                at = len(self.text) if end < 0 else end
            elif char == "(" and closing == ")":
                depth += 1
            elif char == ")" and closing == ")":
                depth -= 1
            at += 1
        return len(self.text)


def _simple(words: list[ShellWord], redirected: list[ShellWord], source: ShellCommand | None) -> ShellCommand | None:
    """Return the command of some words, without reserved words and assignments before it."""
    left = list(words)
    dropped: list[ShellWord] = []
    while left and (left[0].text in _RESERVED or _is_assignment(left[0].text)):
        dropped.append(left.pop(0))
    if not left and not redirected and not any(word.nested for word in dropped):
        return None
    offset = (left or words or redirected)[0].offset
    # Commands within an assignment run all the same.
    kept = [*redirected, *(word for word in dropped if word.nested)]
    return ShellCommand(tuple(left), offset, source, tuple(kept))


def _is_assignment(text: str) -> bool:
    name, equals, _ = text.partition("=")
    return bool(equals) and name.removesuffix("+").isidentifier()
