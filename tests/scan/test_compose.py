"""Compose files become services, with the lines that their values are written in."""

from __future__ import annotations

import time

import pytest

from tidegate.scan.compose.services import ComposeFile, Service, read_compose
from tidegate.scan.compose.values import Unreadable, read_documents


def service(text: str, name: str = "a") -> tuple[ComposeFile, Service]:
    file = read_compose(text)
    return file, next(one for one in file.services if one.name == name)


def test_values_know_the_lines_of_their_keys() -> None:
    _, found = service(
        "services:\n  a:\n    image: x\n    volumes:\n      - b\n      - c\n    deploy:\n\n      mode: d\n"
    )
    assert found.line == 2
    assert [found.value(key).line for key in ("image", "volumes", "deploy")] == [3, 4, 7]  # type: ignore[union-attr]
    volumes = found.value("volumes")
    assert volumes is not None
    assert [item.line for item in volumes.items] == [5, 6]


def test_an_anchor_keeps_its_line_and_what_is_beside_a_merge_key_wins() -> None:
    _, found = service(
        "x: &x\n  image: one\n  user: u\ny: &y {user: v, cpus: 1}\nservices:\n  a:\n    <<: [*x, *y]\n    image: two\n"
    )
    values = {key: found.value(key) for key in ("image", "user", "cpus")}
    assert {key: (value.text, value.line) for key, value in values.items() if value is not None} == {
        "image": ("two", 8),
        "user": ("u", 3),
        "cpus": ("1", 4),
    }


def test_documents_lie_over_each_other() -> None:
    text = """
services:
  a: {image: one, ports: ["1"], environment: {X: "1", Y: "2"}, user: u}
---
services:
  a: {image: two, ports: ["2"], environment: {X: "3"}, user: !reset null}
  b: {image: three}
"""
    file, found = service(text)
    assert [one.name for one in file.services] == ["a", "b"]
    assert (
        found.value(
            "image",
        )
        is not None
    )
    assert [port.target for port in found.published(file)] == ["1", "2"]
    assert {name: value.text for name, value in found.environment.items() if value is not None} == {"X": "3", "Y": "2"}
    assert found.value("user") is None


def test_extends_in_the_same_file_is_followed_to_its_end() -> None:
    text = (
        "services:\n  c: {image: x, cpus: 2}\n  b: {extends: c, mem_limit: 1g}\n  a: {extends: {service: b}, user: u}\n"
    )
    _, found = service(text)
    assert found.is_whole
    assert [value.text for value in (found.memory, found.cpus) if value is not None] == ["1g", "2"]


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  a: {extends: {file: other.yaml, service: b}, image: x}\n",
        "services:\n  a: {user: u}\n",
        "services:\n  a:\n",
    ],
)
def test_a_part_of_a_service_is_not_taken_for_the_whole(text: str) -> None:
    assert not service(text)[1].is_whole


def test_services_that_extend_each_other_in_a_ring_are_read() -> None:
    _, found = service("services:\n  a: {extends: b, image: x}\n  b: {extends: a}\n")
    assert found.value("image") is not None


@pytest.mark.parametrize(
    ("written", "resolved"),
    [
        ("${V:-1}g", "1g"),
        ("${V}g", None),
        ("$V", None),
        ("$$V", "$V"),
        ("${V:?say it}", None),
        ("${A:-${B:-${C:-3}}}", "3"),
        ("${V:+x}y", "y"),
        ("a$", "a$"),
        ("plain", "plain"),
    ],
)
def test_variables_are_at_their_defaults(written: str, resolved: str | None) -> None:
    file, found = service(f"services:\n  a: {{image: '{written}'}}\n")
    image = found.value("image")
    assert image is not None
    assert file.resolved(image) == resolved


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ('"5432:5432"', ("5432", "")),
        ("5432", ("5432", "")),
        ('"127.0.0.1:5432:5432"', ("5432", "127.0.0.1")),
        ('"127.0.0.1::5432"', ("5432", "127.0.0.1")),
        ('"[::1]:5432:5432"', ("5432", "[::1]")),
        ('"8000-8001:5432-5433/tcp"', ("5432-5433/tcp", "")),
        ('"${PORT:-1}:5432"', ("5432", "")),
        ("{target: 5432, published: 1}", ("5432/tcp", "")),
        ("{target: 5432, protocol: udp, host_ip: 127.0.0.1}", ("5432/udp", "127.0.0.1")),
    ],
)
def test_published_ports_in_every_form(port: str, expected: tuple[str, str]) -> None:
    file, found = service(f"services:\n  a:\n    image: x\n    ports:\n      - {port}\n")
    assert [(one.target, one.address) for one in found.published(file)] == [expected]


@pytest.mark.parametrize("form", ["{X: '1', Y: null, Z: }", "['X=1', Y, 'Z']"], ids=["as a map", "as a list"])
def test_the_environment_in_both_forms(form: str) -> None:
    _, found = service(f"services:\n  a: {{image: x, environment: {form}}}\n")
    texts = {name: value.text if value is not None else None for name, value in found.environment.items()}
    assert texts == {"X": "1", "Y": None, "Z": None}


def test_limits_in_both_forms() -> None:
    for form in ("mem_limit: 1g, cpus: 2", "deploy: {resources: {limits: {memory: 1g, cpus: '2'}}}"):
        _, found = service(f"services:\n  a: {{image: x, {form}}}\n")
        assert [value.text for value in (found.memory, found.cpus) if value is not None] == ["1g", "2"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("services:\n  a: [", 2, "no YAML"),
        ("- a\n", 1, "is a map"),
        ("a: b\n", 1, "no `services`"),
        ("services: [a]\n", 1, "map of names"),
        ("", 1, "empty"),
        ("services: &x\n  a: {b: *x}\n", 2, "whole by then"),
        ("a: *b\n", 1, "*b"),
        ("services: " + "[" * 200, 1, "deep"),
        ("\x00", 1, "no YAML"),
        ("a: !!python/object:os.system [x]\n", 1, "no `services`"),
    ],
)
def test_what_is_no_compose_file_is_told_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(Unreadable) as told:
        read_compose(text)
    assert (told.value.line, says in told.value.message) == (line, True)


def laughs(over: str) -> str:
    rows = [f"l{n}: &l{n} {{a: *l{n - 1}, b: *l{n - 1}, c: *l{n - 1}}}" for n in range(1, 40)]
    return "\n".join(["l0: &l0 {a: x}", *rows, f"services: {{{over}: *l39}}"])


def test_aliases_without_end_take_no_time() -> None:
    begun = time.process_time()
    assert [one.name for one in read_compose(laughs("a")).services] == ["a"]
    with pytest.raises(Unreadable, match="too large"):
        read_compose(f"{laughs('a')}\n---\n{laughs('a')}")
    merges = "\n".join(f"m{n}: {{<<: *big}}" for n in range(3000))
    fields = "\n".join(f"  f{n}: 1" for n in range(3000))
    with pytest.raises(Unreadable, match="too large"):
        read_documents(f"big: &big\n{fields}\n{merges}")
    # Nine million copies, or three to the fortieth, would take minutes, or for ever.
    assert time.process_time() - begun < 20
