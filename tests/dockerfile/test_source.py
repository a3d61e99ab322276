"""Lines become instructions as they do for BuildKit."""

from __future__ import annotations

import pytest

from tidegate.dockerfile.source import Instruction, read_source


def only(text: str) -> Instruction:
    """Return the one instruction of a text that has no fault."""
    source = read_source(text)
    assert source.problems == ()
    (found,) = source.instructions
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a \\\n  b", "a   b"),
        ("RUN a \\  \t\n  b", "a   b"),
        ("RUN a \\\r\n  b\r\n", "a   b"),
        ("RUN a \\\n# said in between\n  # and again\n  b", "a   b"),
        ("RUN a \\\n\n\n  b", "a   b"),
        ("run a", "a"),
        ("  \t RUN \t a  ", "a"),
        ("\ufeffRUN a", "a"),
        ("# escape=`\nRUN a `\n b\\", "a  b\\"),
        ("#escape = `\nRUN dir C:\\ `\n b", "dir C:\\  b"),
        ("# just this\n# escape=`\nRUN a \\\n b", "a  b"),
        ("# syntax=docker/dockerfile:1\n# escape=`\nRUN a `\n b", "a  b"),
        ("RUN a \\", "a"),
    ],
)
def test_lines_that_belong_together_are_joined(text: str, expected: str) -> None:
    assert only(text).text == expected


def test_an_escaped_backslash_at_the_end_continues_nothing() -> None:
    source = read_source("# escape=\\\nFROM a\nRUN copy C:\\\\\nUSER b")
    assert [one.keyword for one in source.instructions] == ["FROM", "RUN", "USER"]


@pytest.mark.parametrize(
    ("text", "contents"),
    [
        ("RUN <<EOF\na\nb\nEOF", ["a\nb"]),
        ("RUN <<-EOF\n\ta\n\tEOF", ["a"]),
        ("RUN <<'END OF IT'\na\nEND OF IT", ["a"]),
        ("RUN 3<<EOF cat\na\nEOF", ["a"]),
        ("COPY <<one <<two /dir/\n1\none\n2\ntwo", ["1", "2"]),
        ("ADD <<EOF /file\n  EOF\nEOF", ["  EOF"]),
        ("ONBUILD RUN <<EOF\na\nEOF", ["a"]),
        ("RUN cat <<EOF > /a \\\n && true\nFROM nothing\nEOF", ["FROM nothing"]),
        ("RUN <<EOF\nEOF", [""]),
        ("RUN <<EOF\n# syntax=none\nEOF", ["# syntax=none"]),
    ],
)
def test_here_documents_are_read_whole(text: str, contents: list[str]) -> None:
    assert [heredoc.content for heredoc in only(text).heredocs] == contents


@pytest.mark.parametrize(
    "text", ['RUN ["<<EOF"]', 'RUN "<<EOF"', "RUN a <<< b", "RUN echo $((1<<2))", "ENV A=<<EOF", "RUN a<<EOF"]
)
def test_what_looks_like_a_here_document_and_is_none(text: str) -> None:
    source = read_source(f"{text}\nUSER b")
    assert [one.keyword for one in source.instructions][1:] == ["USER"]


def test_variables_count_in_a_here_document_unless_its_name_is_quoted() -> None:
    source = read_source("RUN <<A <<'B'\nA\nB\n")
    assert [heredoc.expands for heredoc in source.instructions[0].heredocs] == [True, False]


def test_each_part_of_a_file_knows_its_lines() -> None:
    source = read_source("# first\nFROM a\n\n# second\nRUN b \\\n  # third\n  c\nCOPY <<EOF /d\ne\nEOF\n# last\n")
    run, copy = source.instructions[1:]
    assert (run.line, run.end_line, run.line_at(run.text.index("c"))) == (5, 7, 7)
    assert [(comment.line, comment.text) for comment in run.comments] == [(4, "second"), (6, "third")]
    assert (copy.line, copy.end_line, copy.heredocs[0].line) == (8, 10, 9)
    assert [comment.text for comment in source.trailing] == ["last"]


@pytest.mark.parametrize(
    ("text", "flags", "rest"),
    [
        ("COPY --from=build --chown=a:b /x /y", ("--from=build", "--chown=a:b"), "/x /y"),
        (
            "RUN --mount=type=cache,target=/x \\\n  --network=none make",
            ("--mount=type=cache,target=/x", "--network=none"),
            "make",
        ),
        ('RUN --mount="type=bind,source=a b" make', ("--mount=type=bind,source=a b",), "make"),
        ("RUN -- --odd", (), "--odd"),
        ("COPY --link a b", ("--link",), "a b"),
        ("HEALTHCHECK --interval=5s CMD a --b", ("--interval=5s",), "CMD a --b"),
        ("ONBUILD COPY --chown=a b c", ("--chown=a",), "b c"),
    ],
)
def test_flags_are_parted_from_what_follows(text: str, flags: tuple[str, ...], rest: str) -> None:
    found = only(text)
    assert (found.flags, found.text) == (flags, rest)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('CMD ["a", "b c"]', ("a", "b c")),
        ('CMD [ "a" , \\\n "b" ]', ("a", "b")),
        ("CMD ['a']", None),
        ('CMD ["a", 1]', None),
        ('CMD ["a"', None),
        ("CMD " + "[" * 5000, None),
        ("CMD []", ()),
    ],
)
def test_the_json_form_is_an_array_of_texts(text: str, words: tuple[str, ...] | None) -> None:
    assert only(text).json == words


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("ENV A=1 B='2 3' C=\\ x", [("A", "1"), ("B", "'2 3'"), ("C", "\\ x")]),
        ("ENV A some words = here", [("A", "some words = here")]),
        ("ARG A", [("A", None)]),
        ("ARG A=1 B", [("A", "1"), ("B", None)]),
        ('LABEL "a b"="c"', [("a b", '"c"')]),
        ("ENV A=", [("A", "")]),
    ],
)
def test_names_and_values_of_variables(text: str, pairs: list[tuple[str, str | None]]) -> None:
    assert [(name, value) for name, value, _ in only(text).pairs] == pairs


def test_onbuild_is_what_it_holds() -> None:
    found = only("ONBUILD RUN make")
    assert (found.keyword, found.is_onbuild, found.text) == ("RUN", True, "make")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("FROM a\nFORM b", 2, "`FORM` is no instruction"),
        ("RUN", 1, "needs an argument"),
        ("ONBUILD ONBUILD RUN a", 1, "ONBUILD takes"),
        ("RUN <<EOF\na", 1, "has no end"),
        ("# escape=x\nFROM a", 1, "must be"),
        ("# escape=`\n# escape=`\nFROM a", 2, "twice"),
    ],
)
def test_what_is_wrong_is_told_and_the_rest_is_read(text: str, line: int, says: str) -> None:
    (problem,) = read_source(text).problems
    assert problem.line == line
    assert says in problem.message
