"""hadolint, the real one, beside Tidegate's rules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.scan.corpora import GOOD
from tidegate.contract.errors import Unavailable
from tidegate.scan import Report, WithHadolint, hadolint, scan

FAULTY = "FROM debian:12@sha256:" + "d" * 64 + "\nRUN cd /tmp && sudo ls $x\nADD a b\nUSER a\n"


def write(folder: Path, text: str, name: str = "Dockerfile") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rules(report: Report) -> list[tuple[int, str]]:
    return [(one.line, one.rule) for one in report.findings]


def test_its_rules_are_told_with_ours_and_nothing_twice(tmp_path: Path) -> None:
    report = scan([write(tmp_path, FAULTY)], with_hadolint=WithHadolint.REQUIRE)
    assert report.hadolint.ran
    assert report.hadolint.version is not None
    assert report.hadolint.version[0].isdigit()
    # DL3020 says of ADD what add-for-copy does, and is left out.
    found = {rule for _, rule in rules(report)}
    assert {"DL3004", "SC2086", "add-for-copy"} <= found
    assert not found & {"DL3003", "DL3020", "DL3066"}
    assert {one.tool for one in report.findings} == {"hadolint", "tidegate"}


def test_well_made_files_have_no_finding_of_it_either() -> None:
    report = scan(GOOD, with_hadolint=WithHadolint.REQUIRE)
    assert report.findings == ()


IMAGE = "debian:12@sha256:" + "d" * 64


@pytest.mark.parametrize(
    ("rule", "true", "untrue"),
    [
        ("SC2086", "RUN ls $x", 'SHELL ["powershell"]\nRUN ls $x'),
        ("DL3019", "RUN apk add gosu", "RUN apk add --no-network --virtual .needed gosu"),
        ("DL3021", "COPY a b /srv", "COPY a b ."),
        ("DL3042", "RUN pip install x==1", f"RUN pip install x==1\nFROM {IMAGE}"),
        ("DL3042", "RUN pip install x==1; rm x", "RUN pip install x==1; rm -rf /root/.cache/pip"),
        ("DL3046", "ARG ID_OF_IT=1234567\nRUN useradd -u $ID_OF_IT a", "ARG ID_OF_IT=999\nRUN useradd -u $ID_OF_IT a"),
        ("DL3046", "RUN useradd -u 1234567 a", "RUN useradd -l -u 1234567 a"),
        ("DL3067", f"RUN make\nFROM {IMAGE}\nCOPY --from=a / /", f"FROM {IMAGE}\nCOPY --from=a / /"),
        ("DL4006", "RUN ls | sh x", "RUN echo 1 x | sha256sum -c -"),
        ("DL4006", "RUN echo 1 | sort && ls | sh x", "RUN printf 1 | sort && echo 1 | sort"),
        ("DL4006", "RUN { echo 1; ls; } | sort", "RUN { echo '$(x)'; echo $x; } | sort; echo 1 || echo 2 | sort"),
        (
            "DL4006",
            "RUN case $x in a|b) (ls | sort) ;; esac",
            "RUN case $x in a | b|c-d) echo 1 ;; esac; echo 1 | sort",
        ),
        ("DL4006", "RUN echo 1 | sh x | sort", "RUN echo 1 x | sudo tee /x"),
    ],
)
def test_what_it_says_is_told_where_it_is_so_and_only_there(tmp_path: Path, rule: str, true: str, untrue: str) -> None:
    for text, is_told in ((true, True), (untrue, False)):
        path = write(tmp_path, f"FROM {IMAGE} AS a\n{text}\nUSER a\n")
        found = {told for _, told in rules(scan([path], with_hadolint=WithHadolint.REQUIRE))}
        assert (rule in found) is is_told, text


def test_an_ignore_with_a_reason_silences_its_rules_too(tmp_path: Path) -> None:
    text = FAULTY.replace("RUN", "# tidegate: ignore=DL3004,SC2086 to show it\nRUN")
    report = scan([write(tmp_path, text)], with_hadolint=WithHadolint.REQUIRE)
    assert [one.finding.rule for one in report.ignored] == ["DL3004", "SC2086"]


def test_names_and_texts_beyond_ascii_are_no_trouble(tmp_path: Path) -> None:
    report = scan([write(tmp_path, "# ä\n" + FAULTY, "Dockerfile.größe")], with_hadolint=WithHadolint.REQUIRE)
    assert (3, "DL3004") in rules(report)


def test_a_name_that_looks_like_an_option_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, FAULTY, "--version")
    assert (2, "DL3004") in rules(scan([Path("--version")], with_hadolint=WithHadolint.REQUIRE))


def test_a_file_that_it_cannot_read_and_we_can_is_told(tmp_path: Path) -> None:
    text = FAULTY + "COPY <<END /x\na\nEND\nUSER a\n"
    report = scan([write(tmp_path, text)], with_hadolint=WithHadolint.REQUIRE)
    assert [Path(path).name for path, _ in report.hadolint.unread] == ["Dockerfile"]
    assert "rules were not applied there" in report.hadolint.notices()[0]
    assert (3, "add-for-copy") in rules(report)


def test_the_form_that_the_environment_asks_of_it_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOLINT_FORMAT", "tty")
    assert (2, "DL3004") in rules(scan([write(tmp_path, FAULTY)], with_hadolint=WithHadolint.REQUIRE))


def test_a_configuration_that_spoils_its_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "format: tty\n", ".hadolint.yaml")
    report = scan([write(tmp_path, FAULTY)])
    assert not report.hadolint.ran
    assert "take it out" in (report.hadolint.why or "")


@pytest.fixture
def without_hadolint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which hadolint is not installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))


@pytest.mark.usefixtures("without_hadolint")
def test_where_it_is_missing_our_rules_are_applied_and_the_report_says_how_to_install_it(tmp_path: Path) -> None:
    report = scan([write(tmp_path, FAULTY)])
    assert rules(report) == [(3, "add-for-copy")]
    (notice,) = report.hadolint.notices()
    assert hadolint.INSTALL in notice


@pytest.mark.usefixtures("without_hadolint")
def test_where_it_is_missing_and_required_that_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"tidegate\[scan\]"):
        scan([write(tmp_path, FAULTY)], with_hadolint=WithHadolint.REQUIRE)


@pytest.mark.parametrize(("body", "says"), [("exit 3", "ended with 3"), ("echo none", "something else")])
def test_one_that_fails_is_told_and_our_rules_are_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, says: str
) -> None:
    program = write(tmp_path, f"#!/bin/sh\n{body}\n", "hadolint")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    report = scan([write(tmp_path, FAULTY)])
    assert says in (report.hadolint.why or "")
    assert rules(report) == [(3, "add-for-copy")]


def test_there_is_nothing_for_it_among_compose_files(tmp_path: Path) -> None:
    report = scan([write(tmp_path, "services: {}\n", "compose.yaml")], with_hadolint=WithHadolint.REQUIRE)
    assert "no Dockerfile" in (report.hadolint.why or "")
