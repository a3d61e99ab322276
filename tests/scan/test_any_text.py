"""No text breaks the parsers or the rules: whatever a file holds, it is scanned, and in time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.scan.corpora import BAD, GOOD
from tidegate.dockerfile.model import read_dockerfile
from tidegate.dockerfile.shell import commands_of
from tidegate.dockerfile.source import KEYWORDS, read_source
from tidegate.scan import ignores
from tidegate.scan.compose.services import read_compose
from tidegate.scan.compose.values import Unreadable
from tidegate.scan.rules.catalogue import hits_in_compose, hits_in_dockerfile

FILES = [path.read_text(encoding="utf-8") for path in (*GOOD, *BAD)]
#: What means something, so that random texts come to where decisions are.
PIECES = st.sampled_from(
    [
        *(f"{keyword} " for keyword in sorted(KEYWORDS)),
        *("\n", "\n", " ", "\\\n", "`\n", "# escape=`\n", "#", "\t", "\r\n", "\ufeff", "\x00", "ä", "\u2028"),
        *(
            "<<EOF",
            "<<-'E'",
            "\nEOF\n",
            "[",
            "]",
            '"',
            "'",
            "`",
            "\\",
            "$",
            "${",
            "}",
            ":-",
            "$(",
            ")",
            "(",
            "<(",
            "|",
            "&&",
            ";",
        ),
        *(
            "--from=",
            "--mount=",
            "--chmod=4755 ",
            "a",
            "=",
            ":",
            "@sha256:",
            "apt-get install ",
            "curl ",
            "| sh",
            "sudo ",
        ),
        *("# tidegate: ignore=", "root-user", " why", "root", "0", "latest", "/var/run/docker.sock", "-Xmx", "9" * 20),
    ]
)
TEXTS = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join))
#: A file of the corpus with one span of it replaced.
MUTANTS = st.builds(
    lambda text, at, length, piece: text[: at % (len(text) + 1)] + piece + text[at % (len(text) + 1) + length :],
    st.sampled_from(FILES),
    st.integers(0, 10_000),
    st.integers(0, 40),
    PIECES,
)


@given(st.one_of(TEXTS, MUTANTS))
def test_any_text_is_scanned_as_a_dockerfile(text: str) -> None:
    file = read_dockerfile(text)
    last = text.count("\n") + 1
    for hit in hits_in_dockerfile(file):
        assert 1 <= hit.line <= last, hit
    for one in ignores.in_dockerfile(file):
        assert 1 <= one.line <= last


@given(st.one_of(TEXTS, MUTANTS))
def test_any_text_is_scanned_as_a_compose_file_or_refused_with_a_line(text: str) -> None:
    last = text.count("\n") + text.count("\r") + text.count("\u2028") + text.count("\u2029") + text.count("\x85") + 1
    try:
        lines = [hit.line for hit in hits_in_compose(read_compose(text))]
    except Unreadable as wrong:
        lines = [wrong.line]
    assert all(1 <= line <= last for line in lines), lines
    ignores.in_lines(text)


@given(TEXTS)
def test_instructions_are_in_order_and_no_line_is_in_two_of_them(text: str) -> None:
    before = 0
    for instruction in read_source(text).instructions:
        assert before < instruction.line <= instruction.end_line
        before = instruction.end_line


@given(TEXTS)
def test_commands_begin_within_their_script(text: str) -> None:
    for command in commands_of(text):
        assert 0 <= command.offset <= len(text)


@given(st.lists(st.sampled_from(["a", "b c", "é", "$X", "x=1", "-y"]), min_size=1, max_size=6))
def test_quoted_words_of_a_script_come_back_as_they_were(words: list[str]) -> None:
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in ["run", *words])
    (command,) = commands_of(quoted)
    assert [word.text for word in command.words] == ["run", *words]


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "$(",
            "`",
            "${",
            "<(",
            "((",
            "'\"",
            "${A:-",
            "RUN ",
            "FROM a AS b\n",
            "ENV A=$A$A\n",
            "<<E\n",
            "[",
            "{a: ",
            "- ",
            "&a ",
        ),
        *(
            "eyJaaaaaaaaaaaa-",
            "a.",
            "://:",
            "|\n",
            "\\\n",
            "# tidegate: ignore=a\n",
            "A=1 ",
            "-",
            "9",
            "COPY --from=a b c\n",
        ),
    ],
)
def test_a_long_file_of_one_piece_takes_no_time_worth_mention(piece: str) -> None:
    """Quadratic work on 60,000 characters would take minutes."""
    begun = time.process_time()
    for before in ("", "FROM a\nRUN "):
        text = before + piece * (60_000 // len(piece))
        list(hits_in_dockerfile(read_dockerfile(text)))
    try:
        list(hits_in_compose(read_compose(text)))
        list(hits_in_compose(read_compose("services: {a: {image: x, command: '" + text.replace("'", "") + "'}}")))
    except Unreadable:
        pass
    assert time.process_time() - begun < 15
