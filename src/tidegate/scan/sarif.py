"""A report as SARIF 2.1.0, which code hosts show beside the lines; one run for each tool.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, sections 3.13 to 3.58.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

from tidegate.scan.records import Finding, Ignored, Report, Rule, Severity

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def document(report: Report, version: str) -> dict[str, Any]:
    """Return the SARIF log of a report; `version` is Tidegate's."""
    runs = [_run("tidegate", version, [_described(rule) for rule in report.rules], report)]
    if report.hadolint.version is not None:
        codes = sorted({finding.rule for finding in _of("hadolint", report)})
        runs.append(_run("hadolint", report.hadolint.version, [{"id": code} for code in codes], report))
    notices = [{"level": "warning", "message": {"text": notice}} for notice in report.hadolint.notices()]
    runs[-1]["invocations"][0]["toolExecutionNotifications"] = notices
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs}


def _run(tool: str, version: str, rules: list[dict[str, Any]], report: Report) -> dict[str, Any]:
    at = {rule["id"]: index for index, rule in enumerate(rules)}
    results = [_result(finding, at, None) for finding in report.findings if finding.tool == tool]
    results += [_result(one.finding, at, one) for one in report.ignored if one.finding.tool == tool]
    return {
        "tool": {"driver": {"name": tool, "version": version, "rules": rules}},
        "invocations": [{"executionSuccessful": True}],
        "artifacts": [{"location": {"uri": uri_of(path)}} for path in report.files],
        "results": results,
    }


def _of(tool: str, report: Report) -> Iterable[Finding]:
    return (one for one in (*report.findings, *(each.finding for each in report.ignored)) if one.tool == tool)


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.why},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, at: dict[str, int], ignored: Ignored | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": at[finding.rule],
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri_of(finding.path)},
                    "region": {"startLine": finding.line},
                }
            }
        ],
    }
    if ignored is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": ignored.reason}]
    return result


def uri_of(path: str) -> str:
    """Return a path as a reference: relative ones stay so, as code hosts want them."""
    pure = PurePosixPath(path)
    return pure.as_uri() if pure.is_absolute() else quote(str(pure))
