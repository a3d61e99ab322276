"""Comments that silence a rule at one place, and say why: `# tidegate: ignore=RULE[,RULE] reason`.

In a Dockerfile such a comment stands above an instruction, or among its continued lines; in a Compose file above a
line or at its end. Without a reason it silences nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from tidegate.dockerfile.model import Dockerfile
from tidegate.dockerfile.source import Comment
from tidegate.scan.records import Finding, Hit, Ignored, Rule, Severity

NO_REASON = Rule(
    "ignore-without-reason",
    Severity.WARNING,
    "An ignore gives no reason, and silences nothing.",
    "Who reads it next year has to know whether it still holds. Write the reason behind the rule's name.",
)
UNCLEAR = Rule(
    "ignore-unclear",
    Severity.WARNING,
    "An ignore cannot be read, or names a rule that there is not.",
    "It silences nothing, though it looks as if it did. Write `# tidegate: ignore=RULE reason`.",
)
UNUSED = Rule(
    "ignore-unused",
    Severity.INFO,
    "An ignore silences nothing.",
    "What it was for is gone, or it stands at the wrong place: take it out, or put it right above the line.",
)
RULES: Final = (NO_REASON, UNCLEAR, UNUSED)

_OURS: Final = re.compile(r"tidegate\s*:\s*(.*)")
_IGNORE: Final = re.compile(r"ignore\s*=\s*([\w,-]+)(?:[\s:]+(\S.*))?\s*")
_FOREIGN: Final = re.compile(r"(?:DL|SC)\d{4}")
_COMMENT_LINE: Final = re.compile(r"\s*#\s*(.*)")
_COMMENT_AT_END: Final = re.compile(r"\s#\s*(tidegate\s*:.*)")


@dataclass(frozen=True)
class Ignore:
    """An ignore at a line, and the lines (first and last, from 1) that it speaks of."""

    line: int
    text: str
    first: int
    last: int


@dataclass(frozen=True)
class Sifted:
    """What is left to tell, what is silenced, and what is wrong with the ignores themselves."""

    kept: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]
    hits: tuple[Hit, ...]


def in_dockerfile(file: Dockerfile) -> list[Ignore]:
    found = []
    for instruction in file.instructions:
        found += _of_ours(instruction.comments, instruction.line, instruction.end_line)
    return found + [one for comment in file.source.trailing for one in _of_ours([comment], comment.line, comment.line)]


def _of_ours(comments: Iterable[Comment], first: int, last: int) -> list[Ignore]:
    matches = [(comment.line, _OURS.match(comment.text)) for comment in comments]
    return [Ignore(line, match[1], first, last) for line, match in matches if match is not None]


def in_lines(text: str) -> list[Ignore]:
    """Return the ignores of a file whose comments speak of their own line or, alone on it, of the next that is none."""
    found: list[Ignore] = []
    waiting: list[tuple[int, str]] = []
    number = 0
    for number, line in enumerate(text.split("\n"), start=1):
        alone = _COMMENT_LINE.fullmatch(line.rstrip("\r"))
        if alone is not None:
            ours = _OURS.match(alone[1])
            if ours is not None:
                waiting.append((number, ours[1]))
        elif line.strip():
            at_end = _COMMENT_AT_END.search(line)
            ours = _OURS.match(at_end[1]) if at_end is not None else None
            if ours is not None:
                waiting.append((number, ours[1]))
            found += [Ignore(at, words, number, number) for at, words in waiting]
            waiting.clear()
    return found + [Ignore(at, words, at, at) for at, words in waiting]


def sift(findings: Iterable[Finding], ignores: Iterable[Ignore], known: frozenset[str], *, foreign: bool) -> Sifted:
    """Part the findings of one file into those that are told and those that an ignore with a reason silences.

    Args:
        known: the ids of Tidegate's own rules.
        foreign: hadolint's rules were applied, so that an ignore of one can be found to silence nothing.
    """
    left = list(findings)
    ignored: list[Ignored] = []
    hits: list[Hit] = []
    for ignore in ignores:
        match = _IGNORE.fullmatch(ignore.text)
        names = [name for name in match[1].split(",") if name] if match else []
        hits += _complaints(ignore, names, match[2] if match else None, known)
        if match is None or match[2] is None:
            continue
        for name in names:
            silenced = [one for one in left if one.rule == name and ignore.first <= one.line <= ignore.last]
            left = [one for one in left if one not in silenced]
            ignored += [Ignored(one, match[2].strip()) for one in silenced]
            can_tell = name in known or (foreign and _FOREIGN.fullmatch(name) is not None)
            if not silenced and can_tell:
                hits.append(Hit(UNUSED, ignore.line, f"ignore={name} silences nothing here"))
    return Sifted(tuple(left), tuple(ignored), tuple(hits))


def _complaints(ignore: Ignore, names: list[str], reason: str | None, known: frozenset[str]) -> Iterator[Hit]:
    if not names:
        yield Hit(UNCLEAR, ignore.line, f"`tidegate: {ignore.text[:60]}` is no ignore; write ignore=RULE and a reason")
        return
    for name in names:
        if name not in known and not _FOREIGN.fullmatch(name):
            yield Hit(UNCLEAR, ignore.line, f"there is no rule {name}")
    if reason is None:
        message = f"ignore={','.join(names)} gives no reason, so it silences nothing"
        yield Hit(NO_REASON, ignore.line, message)
