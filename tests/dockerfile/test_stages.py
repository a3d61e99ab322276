"""Instructions become stages: which builds on which, with which variables."""

from __future__ import annotations

import pytest

from tidegate.dockerfile.model import read_dockerfile
from tidegate.dockerfile.substitution import filled
from tidegate.dockerfile.words import expanded


def bases(text: str) -> list[tuple[str | None, int | None]]:
    """Return image and parent of each stage."""
    return [(stage.base, stage.parent) for stage in read_dockerfile(text).stages]


def test_a_stage_is_found_by_its_name_whatever_its_case() -> None:
    assert bases("FROM a:1 AS Build\nFROM build\nFROM BUILD as x\nFROM later AS y") == [
        ("a:1", None),
        ("build", 0),
        ("BUILD", 0),
        ("later", None),
    ]


def test_a_stage_is_no_stage_before_it_is_there() -> None:
    assert bases("FROM later\nFROM a:1 AS later") == [("later", None), ("a:1", None)]


def test_from_does_not_take_a_number() -> None:
    assert bases("FROM a:1\nFROM 0") == [("a:1", None), ("0", None)]


@pytest.mark.parametrize(
    ("arguments", "written", "base"),
    [
        ("ARG V=3", "python:${V}", "python:3"),
        ("ARG V=3", "python:$V-slim", "python:3-slim"),
        ("ARG V", "python:${V:-3}", "python:3"),
        ("ARG V", "python:$V", None),
        ("", "python:$V", None),
        ("ARG R=python V=3", "$R:$V", "python:3"),
        ("ARG A=python\nARG B=${A}:3", "$B", "python:3"),
        ("ARG V=3", "python${V:+:}$V", "python:3"),
        ("ARG V=3", "--platform=$BUILDPLATFORM python:$V", "python:3"),
        ('ARG V="3"', "python:$V", "python:3"),
        ("ARG V=3.11", "python:${V%.*}", None),
    ],
)
def test_arguments_before_the_first_from_are_known_to_from(arguments: str, written: str, base: str | None) -> None:
    assert bases(f"{arguments}\nFROM {written}") == [(base, None)]


def test_what_the_build_gives_counts_for_from() -> None:
    file = read_dockerfile("ARG TAG=17\nARG OF=java:$TAG\nFROM $OF", {"TAG": "21", "OTHER": "1"})
    assert [stage.base for stage in file.stages] == ["java:21"]


def test_an_image_that_is_not_known_as_a_whole_is_told_as_far_as_it_is() -> None:
    file = read_dockerfile("ARG R=python\nARG V\nFROM $R:${V}-slim")
    assert [(stage.base, stage.written) for stage in file.stages] == [(None, "python:${V}-slim")]


def test_a_family_is_what_a_stage_is_built_on_and_what_is_built_on_it() -> None:
    file = read_dockerfile("FROM a AS one\nFROM one AS two\nFROM b AS three\nFROM one AS four\n")
    assert [file.family(number) for number in range(4)] == [{0, 1, 3}, {0, 1}, {2}, {0, 3}]
    assert file.family(0, 2) == {0, 1}, "of the first two"


def test_a_stage_that_comes_later_is_none_that_can_be_copied_from() -> None:
    file = read_dockerfile("FROM a AS one\nFROM b AS two\nFROM c AS one\n")
    found = [file.stage_named(name, 2) for name in ("one", "ONE", "two", "1", "2")]
    assert [None if stage is None else stage.index for stage in found] == [0, 0, 1, 1, None]
    last = file.stage_named("one")
    assert last is not None
    assert last.index == 2


def value(text: str, name: str = "X", **given: str) -> str | None:
    """Return what a variable is at the end of the last stage."""
    file = read_dockerfile(f"{text}\nSTOPSIGNAL end")
    assert file.final is not None
    return [known.get(name) for one, known in file.walk(file.final, given) if one.keyword == "STOPSIGNAL"][-1]


def test_variables_are_known_where_they_are_for_the_build() -> None:
    assert value("FROM a\nENV X=1") == "1"
    assert value("FROM a\nARG X=1\nENV X=2") == "2", "ENV wins over ARG"
    assert value("FROM a\nENV X=1\nARG X=2") == "1", "whichever comes last"
    assert value("ARG X=1\nFROM a") is None, "a stage has to ask for it"
    assert value("ARG X=1\nFROM a\nARG X") == "1"
    assert value("FROM a AS b\nENV X=1\nFROM b") == "1", "the environment is handed down"
    assert value("FROM a AS b\nARG X=1\nFROM b") == "1", "and so are arguments"
    assert value("FROM a AS b\nARG X=1\nFROM a") is None, "to those that build on it alone"
    assert value("FROM a AS b\nARG X=1\nFROM b\nARG X") == "1", "declared again without a value it is what it was"
    assert value("FROM a\nENV Y=1 X=$Y") is None, "a line sees the variables before it"
    assert value("FROM a\nENV Y=1\nENV X=$Y$Y") == "11"
    assert value("FROM a\nARG X=1", X="9") == "9", "what the build gives wins over the default"
    assert value("ARG Y=1\nARG X=$Y\nFROM a\nARG X", Y="9") == "9", "and defaults that are made of it"
    assert value("FROM a\nARG Y=1\nRUN a", X="9") is None, "but only where it is declared"
    assert value("FROM a\nONBUILD ENV X=1") is None


def test_doubling_a_variable_again_and_again_ends_as_unknown() -> None:
    doubled = "\n".join("ENV X=$X$X" for _ in range(60))
    assert value(f"FROM a\nENV X=ab\n{doubled}") is None


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("'$A'", "$A"),
        ('"$A b"', "1 b"),
        ("\\$A", "$A"),
        ('"\\$A\\n"', "$A\\n"),
        ("${A:+${B:-two}}", "two"),
        ("${A}${", "1${"),
        ("$", "$"),
        ("${B-x}${A:?no}", "x1"),
        ("$B", None),
        ("${" * 50 + "}" * 50, None),
    ],
)
def test_quotes_escapes_and_defaults_of_a_word(word: str, expected: str | None) -> None:
    assert expanded(word, {"A": "1"}, "\\") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A}x ${B}$B", "1 1x ${B}$B"),
        ("${B:-2} ${E:-2} ${E-2} ${A:+3} ${B+3}", "2 2  3 "),
        ("${B:-${A}} ${B:-$C}", "1 $C"),
        ("${A%.*} ${B:?no} $", "${A%.*} ${B:?no} $"),
        ("'$A' \\$A", "'1' \\1"),
    ],
)
def test_what_is_not_known_stays_as_it_is_written_for_who_tells_what_is_missing(text: str, expected: str) -> None:
    assert filled(text, {"A": "1", "E": ""}) == expected


def test_variables_that_are_partly_known_are_told_as_far_as_they_are() -> None:
    file = read_dockerfile("FROM a\nENV V=3.${M}\nRUN echo $V")
    assert file.final is not None
    *_, (_, known) = file.walk(file.final, keeps=True)
    assert known["V"] == "3.${M}"
    *_, (_, known) = file.walk(file.final)
    assert known["V"] is None


def test_text_of_variables_made_of_variables_does_not_grow_without_end() -> None:
    file = read_dockerfile("FROM a\nENV A=xxxxxxxxxxxxxxxx\n" + "ENV A=$A$A\n" * 60 + "RUN echo $A\n")
    assert file.final is not None
    *_, (run, known) = file.walk(file.final, keeps=True)
    assert len(filled(run.text, known)) < 1 << 20


def test_the_scripts_of_other_shells_are_not_read() -> None:
    text = 'FROM a\nSHELL ["pwsh", "-c"]\nRUN curl x | sh\nSHELL ["/bin/bash", "-c"]\nRUN a | b\nRUN ["c", "d e"]'
    programs = [command.program for script in read_dockerfile(text).scripts for command in script.commands]
    assert programs == ["a", "b", "c"]


def test_a_posix_shell_that_another_program_starts_is_one() -> None:
    text = 'FROM a\nSHELL ["conda", "run", "-n", "train", "/bin/bash", "-c"]\nRUN pip install b && c'
    programs = [command.program for script in read_dockerfile(text).scripts for command in script.commands]
    assert programs == ["pip", "c"]
