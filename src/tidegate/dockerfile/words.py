"""The words of an instruction: where they end, what their quotes hide, which variables are in them."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.dockerfile.substitution import LONGEST_VALUE, Variables, value_at


@dataclass(frozen=True)
class Word:
    """A word as written, quotes included, and where in the text it begins."""

    text: str
    offset: int


def split_words(text: str, escape: str) -> tuple[Word, ...]:
    """Split at spaces that are neither quoted nor escaped; a quote that is never closed ends with the text."""
    words: list[Word] = []
    begin: int | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if not quote and char.isspace():
            if begin is not None:
                words.append(Word(text[begin:at], begin))
                begin = None
            at += 1
            continue
        if begin is None:
            begin = at
        if char == escape and quote != "'":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        at += 1
    if begin is not None:
        words.append(Word(text[begin:], begin))
    return tuple(words)


def unquoted(text: str, escape: str) -> str:
    """Return a word without quotes and escapes; variables stay as they are written."""
    return _processed(text, None, escape) or ""


def expanded(text: str, variables: Variables, escape: str, *, keeps: bool = False) -> str | None:
    """Return a word without quotes and escapes and with variables replaced; None where one of them is unknown.

    Args:
        keeps: what is unknown stays as it is written.
    """
    return _processed(text, variables, escape, keeps=keeps)


def _processed(text: str, variables: Variables | None, escape: str, *, keeps: bool = False) -> str | None:
    parts: list[str] = []
    quote = ""
    at = size = 0
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'":
            follower = text[at + 1 : at + 2]
            # Between double quotes an escape means itself, but before what would mean something there.
            keeps = quote == '"' and follower not in ('"', "$", escape)
            parts.append(char + follower if keeps else follower)
            at += 2
            continue
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        elif char == "$" and quote != "'" and variables is not None:
            found = value_at(text, at, variables, keeps=keeps)
            if found is not None:
                value, at = found
                size += len(value or "")
                if value is None or size > LONGEST_VALUE:
                    return None
                parts.append(value)
                continue
            parts.append(char)
        else:
            parts.append(char)
        at += 1
    return "".join(parts)
