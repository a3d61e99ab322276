"""What a check of surroundings found: the words that the gate before a rollout and `doctor` share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended. A warning is worth knowing and stops nothing."""

    PASS = "pass"  # noqa: S105 (no password)
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, how it ended, why, and what to do when it is not well."""

    check: str
    level: Level
    reason: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str]:
        fields = {"check": self.check, "level": self.level.value, "reason": self.reason, "fix": self.fix}
        return {key: value for key, value in fields.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}"
