"""What is well made has no finding, and each fault of the others has its own, at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scan.corpora import BAD, GOOD, expected
from tidegate.scan import WithHadolint, scan
from tidegate.scan.rules.catalogue import RULES


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_well_made_file_has_no_finding_of_any_severity(path: Path) -> None:
    assert scan([path], with_hadolint=WithHadolint.OFF).findings == ()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_a_bad_file_has_the_findings_that_it_says_and_no_other(path: Path) -> None:
    found = scan([path], with_hadolint=WithHadolint.OFF).findings
    assert sorted((finding.line, finding.rule) for finding in found) == expected(path)


def test_each_rule_is_found_in_some_bad_file() -> None:
    found = {rule for path in BAD for _, rule in expected(path)}
    assert found == {rule.id for rule in RULES}
