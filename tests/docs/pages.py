"""The pages as tests see them: their text, links, fenced blocks, inline code and command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HOW_TO = DOCS / "how-to"

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks) *$", re.M | re.S
)
_INLINE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block. `words` follow the language in the fence: a file's name, or how a test shall treat it."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[Block]:
        """Return the fenced blocks in order, those of some languages or all."""
        return [block for block in self._blocks() if not languages or block.language in languages]

    def _blocks(self) -> Iterator[Block]:
        for match in _FENCE.finditer(self.text):
            language, *words = match["info"].split() or [""]
            line = self.text.count("\n", 0, match.start()) + 1
            yield Block(self.path, line, language, tuple(words), match["body"])

    def inline(self) -> list[str]:
        """Return what stands between single backticks, each on one line."""
        return [" ".join(code.split()) for code in _INLINE.findall(self.prose)]

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """Return the fragments that its headings make, as GitHub makes them."""
        headings = _HEADING.findall(self.prose)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def read(path: Path) -> Page:
    return Page(path, path.read_text(encoding="utf-8"))


def all_pages() -> list[Page]:
    """Return README, CHANGELOG, CONTRIBUTING and every page below docs/."""
    roots = [path for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md") if (path := ROOT / name).exists()]
    return [read(path) for path in (*roots, *sorted(DOCS.rglob("*.md")))]


def command_lines(block: Block) -> list[list[str]]:
    """Return the words of every `tidegate …` command in a block of shell, with pipes and redirections cut off."""
    # What a variable holds is not known here; where a number is wanted, 1 is one.
    text = re.sub(r'"?\$\w+"?', "1", block.text.replace("\\\n", " "))
    if block.language == "console":
        text = "\n".join(line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ "))
    found = []
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        found += list(_commands(list(lexer)))
    return found


def _commands(words: list[str]) -> Iterator[list[str]]:
    begin = True
    for at, word in enumerate(words):
        if begin and word == "tidegate":
            yield _until_end(words[at + 1 :])
        begin = word in {"|", "||", "&&", ";", "do", "then", "if", "!", "("} or (begin and "=" in word)


def _until_end(words: list[str]) -> list[str]:
    kept: list[str] = []
    for word in words:
        if set(word) <= set("|&;<>()") or (word.isdecimal() and kept and kept[-1] == ">"):
            break
        kept.append(word)
    return kept
