"""A report as SARIF 2.1.0: the properties of the standard and no other, and every reference leads somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.scan.corpora import BAD
from tidegate.scan import Report, WithHadolint, sarif, scan

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
LEVEL = {"enum": ["none", "note", "warning", "error"]}


def exactly(optional: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


MESSAGE = exactly(text=TEXT)
LOCATION = exactly(uri={"type": "string", "format": "uri-reference", "pattern": "^[^\\s\\\\]+$"})
DESCRIPTOR = exactly(
    ("shortDescription", "fullDescription", "help", "defaultConfiguration"),
    id=TEXT,
    shortDescription=MESSAGE,
    fullDescription=MESSAGE,
    help=MESSAGE,
    defaultConfiguration=exactly(level=LEVEL),
)
RESULT = exactly(
    ("suppressions",),
    ruleId=TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=LEVEL,
    message=MESSAGE,
    locations=many(
        exactly(
            physicalLocation=exactly(
                artifactLocation=LOCATION, region=exactly(startLine={"type": "integer", "minimum": 1})
            )
        )
    ),
    suppressions=many(exactly(kind={"enum": ["inSource", "external"]}, justification=TEXT)),
)
NOTICE = exactly(level=LEVEL, message=MESSAGE)
RUN = exactly(
    tool=exactly(driver=exactly(name=TEXT, version=TEXT, rules=many(DESCRIPTOR))),
    invocations=many(
        exactly(
            ("toolExecutionNotifications",),
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=many(NOTICE),
        )
    ),
    artifacts=many(exactly(location=LOCATION)),
    results=many(RESULT),
)
#: Of the schema that OASIS publishes, the part that a report of ours uses.
LOG = {
    "type": "object",
    "properties": {"$schema": {"type": "string", "format": "uri"}, "version": {"const": "2.1.0"}, "runs": many(RUN)},
    "required": ["version", "runs"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", params=[WithHadolint.REQUIRE, WithHadolint.OFF])
def report(request: pytest.FixtureRequest) -> Report:
    return scan(BAD, with_hadolint=request.param)


def test_a_report_has_the_form_of_the_standard(report: Report) -> None:
    jsonschema.validate(sarif.document(report, "1.0"), LOG, format_checker=jsonschema.FormatChecker())


def test_all_that_was_found_is_there_with_its_rule_and_its_file(report: Report) -> None:
    log = sarif.document(report, "1.0")
    results = [(run, result) for run in log["runs"] for result in run["results"]]
    assert len(results) == len(report.findings) + len(report.ignored)
    for run, result in results:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert {"location": {"uri": uri}} in run["artifacts"]
    assert [run["tool"]["driver"]["name"] for run in log["runs"]] == ["tidegate", "hadolint"][: 1 + report.hadolint.ran]


def test_that_hadolint_was_not_asked_is_a_notice(report: Report) -> None:
    notices = sarif.document(report, "1.0")["runs"][-1]["invocations"][0]["toolExecutionNotifications"]
    assert [notice["message"]["text"] for notice in notices] == report.hadolint.notices()
    assert notices


def test_what_is_ignored_is_suppressed_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a file%.Dockerfile"
    path.write_text("# tidegate: ignore=image-tag of our own\nFROM base\nUSER a\n")
    (run,) = sarif.document(scan([path], with_hadolint=WithHadolint.OFF), "1.0")["runs"]
    (result,) = run["results"]
    assert result["suppressions"] == [{"kind": "inSource", "justification": "of our own"}]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/a%20file%25.Dockerfile")


@pytest.mark.parametrize(("path", "uri"), [("a b/ü", "a%20b/%C3%BC"), ("/a b", "file:///a%20b"), ("a:b", "a%3Ab")])
def test_paths_are_written_as_references(path: str, uri: str) -> None:
    assert sarif.uri_of(path) == uri
