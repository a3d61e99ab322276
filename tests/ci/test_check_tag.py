"""scripts/check_tag.py: a release is refused unless tag, version and changelog agree."""

from __future__ import annotations

import pytest

from scripts.check_tag import problems

CHANGELOG = "# Changelog\n\n## [1.2.0] - 2026-05-01\n\n## [1.1.0] - unreleased\n"


def test_a_tag_of_the_version_with_a_dated_heading_is_released() -> None:
    assert list(problems("v1.2.0", "1.2.0", CHANGELOG)) == []


@pytest.mark.parametrize("tag", ["", "1.2.0", "v1.2", "v1.2.0-rc1", "v1.2.0\n"])
def test_another_tag_is_refused(tag: str) -> None:
    (problem,) = problems(tag, "1.2.0", CHANGELOG)
    assert "expected the tag 'v1.2.0';" in problem


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.1.0", "says 'unreleased' of 1.1.0"),
        ("1.3.0", "no heading '## [1.3.0]"),
        ("1.2", "no heading"),
        ("1020", "no"),
    ],
)
def test_a_version_without_a_dated_heading_is_refused(version: str, said: str) -> None:
    (problem,) = problems(f"v{version}", version, CHANGELOG)
    assert said in problem
