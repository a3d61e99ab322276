"""`tidegate scan`: what is unsafe in Dockerfiles and Compose files."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.output import console, print_json, say

if TYPE_CHECKING:
    from rich.text import Text

    from tidegate.scan import Finding, Report

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}


class Form(StrEnum):
    """How the report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


class FailOn(StrEnum):
    """The least finding that makes the command fail."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


class Hadolint(StrEnum):
    """Whether hadolint's rules are applied."""

    AUTO = "auto"
    REQUIRE = "require"
    OFF = "off"


def scan(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Dockerfiles and Compose files, and folders, in which they are found by name.",
            show_default=False,
        ),
    ],
    *,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="The least severity with which the command fails.")
    ] = FailOn.WARNING,
    hadolint: Annotated[
        Hadolint,
        typer.Option(
            "--hadolint",
            help="auto applies its rules where it is installed and says so where not; require fails without it.",
        ),
    ] = Hadolint.AUTO,
    output: Annotated[
        Form,
        typer.Option(
            "--output", help="text for people; json; sarif (2.1.0) for code hosts, which show it at the lines."
        ),
    ] = Form.TEXT,
) -> int:
    """Scan Dockerfiles and Compose files for what is unsafe to build or run.

    Root, secrets, moving tags, unchecked downloads, what leaves a container's walls, missing limits, a Java heap that
    does not fit its container: rules of Tidegate's own, and those of hadolint, which the extra `scan` installs.

    Exit code 10 when there is a finding as severe as --fail-on says. A comment silences a rule at one place and gives
    the reason: # tidegate: ignore=root-user binds port 25, and gives the right up itself

    $ tidegate scan stack
    $ tidegate scan Dockerfile compose.yaml --fail-on error
    $ tidegate scan . --hadolint require --output sarif > scan.sarif
    """
    from tidegate.scan import Severity, WithHadolint
    from tidegate.scan import scan as scan_paths

    report = scan_paths(paths, with_hadolint=WithHadolint(str(hadolint)))
    if output is Form.JSON:
        print_json(report.as_dict())
    elif output is Form.SARIF:
        from tidegate import __version__
        from tidegate.scan.sarif import document

        print_json(document(report, __version__))
    else:
        _show(report)
    failed = fail_on is not FailOn.NEVER and report.reaches(Severity(str(fail_on)))
    return ExitCode.HAS_FINDINGS if failed else ExitCode.OK


def _show(report: Report) -> None:
    if sys.stdout.isatty():
        out = console()
        for finding in report.findings:
            out.print(_coloured(finding), soft_wrap=True)
    else:
        say(*map(_line, report.findings))
    hit = {finding.rule for finding in report.findings}
    reasons = [f"{rule.id}: {rule.why}" for rule in report.rules if rule.id in hit]
    if reasons:
        say("", *reasons, "")
    say(summary(report), *report.hadolint.notices())


def _line(finding: Finding) -> str:
    return f"{finding.path}:{finding.line}: {finding.severity} {finding.rule}: {finding.message}"


def _coloured(finding: Finding) -> Text:
    from rich.text import Text

    begin = len(f"{finding.path}:{finding.line}: ")
    line = Text(_line(finding))
    line.stylize(_COLOURS[finding.severity], begin, begin + len(finding.severity))
    return line


def summary(report: Report) -> str:
    """Return the last word: how many files, how many findings of which severity, how many silenced."""
    from tidegate.scan import Severity

    counts = [(report.count(severity), str(severity)) for severity in reversed(Severity)]
    told = ", ".join(_counted(number, word) for number, word in counts if number) or "nothing found"
    silenced = f"; {len(report.ignored)} ignored with a reason" if report.ignored else ""
    by = f"; with hadolint {report.hadolint.version}" if report.hadolint.ran else ""
    return f"{_counted(len(report.files), 'file')}: {told}{silenced}{by}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == "info" else f"{number} {word}s"
