"""What a scan says: rules, what they found, and how bad that is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad a finding is. The members are in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for the least; what is to be compared."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Rule:
    """One thing that Tidegate itself looks for.

    Attributes:
        id: what an ignore names.
        title: what is wrong where it hits, as one sentence.
        why: what can come of it, and what to write instead.
        covers: codes of hadolint that say the same; theirs are left out, so that nothing is said twice.
    """

    id: str
    severity: Severity
    title: str
    why: str
    covers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A rule that hit, at a line (from 1) of the file that was looked at."""

    rule: Rule
    line: int
    message: str


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in one file. `rule` is one of ours or a code of hadolint."""

    path: str
    line: int
    severity: Severity
    rule: str
    message: str
    tool: str = "tidegate"

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "line": self.line,
            "severity": str(self.severity),
            "rule": self.rule,
            "message": self.message,
            "tool": self.tool,
        }


@dataclass(frozen=True)
class Ignored:
    """A finding that a comment in the file silences, and the reason that it gives."""

    finding: Finding
    reason: str

    def as_dict(self) -> dict[str, Any]:
        return {**self.finding.as_dict(), "reason": self.reason}


@dataclass(frozen=True)
class HadolintRun:
    """Whether hadolint's rules were applied.

    Attributes:
        version: hadolint's, or None where they were not.
        why: why not, or None where they were.
        unread: files that hadolint cannot read though they are well-formed, each with what it says of them.
    """

    version: str | None
    why: str | None = None
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def ran(self) -> bool:
        return self.version is not None

    def as_dict(self) -> dict[str, Any]:
        unread = [{"path": path, "message": message} for path, message in self.unread]
        return {"ran": self.ran, "version": self.version, "why": self.why, "unread": unread}

    def notices(self) -> list[str]:
        """Return what is to be said of rules that were not applied, a sentence for each."""
        if not self.ran:
            return [f"hadolint's rules were not applied: {self.why}."]
        return [
            f"hadolint cannot read {path}, so its rules were not applied there: {why}." for path, why in self.unread
        ]


@dataclass(frozen=True)
class Report:
    """All that a scan says, in the order of paths and lines."""

    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]
    hadolint: HadolintRun
    rules: tuple[Rule, ...] = field(default=(), repr=False)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    def reaches(self, severity: Severity) -> bool:
        """True when a finding is as bad as `severity`, or worse."""
        return any(finding.severity.rank >= severity.rank for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        return {
            "files": list(self.files),
            "counts": {str(severity): self.count(severity) for severity in reversed(Severity)},
            "findings": [finding.as_dict() for finding in self.findings],
            "ignored": [ignored.as_dict() for ignored in self.ignored],
            "hadolint": self.hadolint.as_dict(),
        }
