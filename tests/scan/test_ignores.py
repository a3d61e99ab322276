"""A comment with a reason silences its rule where it stands, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.scan import Report, WithHadolint, scan

ROOT = "FROM debian:12@sha256:" + "c" * 64 + "\nUSER root\n"


def scanned(path: Path, text: str) -> Report:
    path.write_text(text, encoding="utf-8")
    return scan([path], with_hadolint=WithHadolint.OFF)


def told(report: Report) -> list[tuple[int, str]]:
    return [(finding.line, finding.rule) for finding in report.findings]


@pytest.mark.parametrize(
    "comment",
    [
        "# tidegate: ignore=root-user the port is below 1024",
        "#tidegate:ignore = root-user the port is below 1024",
        "# tidegate: ignore=root-user: the port is below 1024",
        "# tidegate: ignore=setuid,root-user the port is below 1024",
    ],
)
def test_a_reason_is_kept_with_what_it_silences(tmp_path: Path, comment: str) -> None:
    report = scanned(tmp_path / "Dockerfile", ROOT.replace("USER", f"{comment}\nUSER"))
    assert [(one.finding.line, one.finding.rule, one.reason) for one in report.ignored] == [
        (3, "root-user", "the port is below 1024")
    ]
    assert [rule for _, rule in told(report)] == ["ignore-unused"] * ("setuid" in comment)


def test_several_comments_over_one_instruction_count(tmp_path: Path) -> None:
    text = ROOT.replace(
        "FROM", "# tidegate: ignore=image-tag one\n# something else\n\n# tidegate: ignore=image-digest two\nFROM"
    ).partition("@")[0]
    report = scanned(tmp_path / "Dockerfile", f"{text}\nUSER a\n")
    assert [one.reason for one in report.ignored] == ["two"]
    assert told(report) == [(1, "ignore-unused")]


def test_an_ignore_reaches_no_further_than_its_instruction(tmp_path: Path) -> None:
    text = "# tidegate: ignore=root-user not here\n" + ROOT
    assert told(scanned(tmp_path / "Dockerfile", text)) == [(1, "ignore-unused"), (3, "root-user")]


def test_without_a_reason_nothing_is_silenced(tmp_path: Path) -> None:
    report = scanned(tmp_path / "Dockerfile", ROOT.replace("USER", "# tidegate: ignore=root-user\nUSER"))
    assert told(report) == [(2, "ignore-without-reason"), (3, "root-user")]
    assert report.ignored == ()


def test_what_is_wrong_with_ignores_cannot_be_ignored(tmp_path: Path) -> None:
    text = ROOT.replace("USER root", "# tidegate: ignore=nothing,ignore-unclear quiet\nUSER a")
    assert [rule for _, rule in told(scanned(tmp_path / "Dockerfile", text))] == ["ignore-unclear", "ignore-unused"]


def test_a_rule_of_hadolint_that_was_not_applied_is_not_said_to_be_unused(tmp_path: Path) -> None:
    text = ROOT.replace("USER root", "# tidegate: ignore=DL3002,SC2086 of hadolint\nUSER a")
    assert told(scanned(tmp_path / "Dockerfile", text)) == []


def test_in_a_compose_file_a_comment_speaks_of_its_line_or_the_next(tmp_path: Path) -> None:
    text = """
services:
  # tidegate: ignore=no-healthcheck it ends by itself
  # tidegate: ignore=no-limit,writable-root it runs once a month

  a:
    image: debian:12  # tidegate: ignore=image-digest the mirror keeps it
    privileged: true # tidegate: ignore=privileged
"""
    report = scanned(tmp_path / "compose.yaml", text)
    assert sorted((one.finding.rule, one.reason) for one in report.ignored) == [
        ("image-digest", "the mirror keeps it"),
        ("no-healthcheck", "it ends by itself"),
        ("no-limit", "it runs once a month"),
        ("writable-root", "it runs once a month"),
    ]
    assert told(report) == [(8, "ignore-without-reason"), (8, "privileged")]
