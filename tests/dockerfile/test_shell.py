"""Scripts become the commands that they run."""

from __future__ import annotations

import pytest

from tidegate.dockerfile.shell import ShellCommand, commands_of


def lines(script: str) -> list[str]:
    return [" ".join(word.text for word in command.words) for command in commands_of(script)]


@pytest.mark.parametrize(
    ("script", "commands"),
    [
        ("a b && c || d; e & f", ["a b", "c", "d", "e", "f"]),
        ("a | b |& c", ["a", "b", "c"]),
        ("a\nb\n\n# no\nc # no", ["a", "b", "c"]),
        ("A=1 B=2 c d", ["c d"]),
        ("a 'b c' \"d e\"f g\\ h", ["a b c d ef g h"]),
        ("a > b 2>&1 < c &> d", ["a"]),
        ("if a; then b; else c; fi", ["a", "b", "c"]),
        ("for x in 1 2; do a $x; done", ["for x in 1 2", "a $x"]),
        ("(a; { b; })", ["a", "b"]),
        ("! a", ["a"]),
        ("a $(b `c`) d", ["a $(b `c`) d", "b `c`", "c"]),
        ("X=$(a b)", ["", "a b"]),
        ("a <(b) >(c)", ["a <(b) >(c)", "b", "c"]),
        ("a <<EOF\nb\nEOF\nc", ["a", "c"]),
        ("a <<-'E F' | b\n\tx\n\tE F\nc", ["a", "b", "c"]),
        ("cat <<EOF |\nx\nEOF\n sh", ["cat", "sh"]),
        ("a |\n  b", ["a", "b"]),
        ("a \\\n  b", ["a b"]),
        ("a ${B:-c d} e", ["a ${B:-c d} e"]),
        ("a $((1 + 2))", ["a $((1 + 2))"]),
        ("a#b", ["a#b"]),
        ("a 'never closed", ["a never closed"]),
        ("", []),
    ],
)
def test_commands_of_a_script(script: str, commands: list[str]) -> None:
    assert lines(script) == commands


@pytest.mark.parametrize(
    ("script", "program", "arguments"),
    [
        ("sudo -E -u app /usr/bin/make all", "make", ("all",)),
        ("env -i A=1 make", "make", ()),
        ("exec -a name make", "make", ()),
        ("gosu app make x", "make", ("x",)),
        ("timeout -k 5 10 make", "make", ()),
        ("sudo env sudo -- make", "make", ()),
        ("sudo", "", ()),
    ],
)
def test_who_does_the_work_is_behind_its_wrappers(script: str, program: str, arguments: tuple[str, ...]) -> None:
    (command,) = commands_of(script)
    assert (command.program, command.arguments) == (program, arguments)


def test_a_pipe_leads_back_to_its_beginning() -> None:
    def sources(command: ShellCommand | None) -> list[str]:
        return [] if command is None else [command.program, *sources(command.source)]

    assert sources(commands_of("a | b | c; d")[2]) == ["c", "b", "a"]
    assert sources(commands_of("a | b | c; d")[3]) == ["d"]


def test_offsets_are_those_of_the_script() -> None:
    script = 'a && sh -c "$(curl x)"'
    assert [script[command.offset :][:4] for command in commands_of(script)] == ["a &&", "sh -", "curl"]
