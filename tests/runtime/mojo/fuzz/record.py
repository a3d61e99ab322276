"""What was fuzzed: each run adds itself to a file, and the page beside it is made of that."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_NAME = "fuzz-mojo"
_HOW = """Mutants of small models of every algorithm, guided by the code that they reach. Each is loaded, described, and
asked for everything that it can tell of two rows; the answer of the quick way for a single row is compared with that of
the usual one. All but scores and the reader's own refusals is a finding: another error, another answer, more memory
than the limit beside what the process began with, or more than 5 s. Interpreted kernels show the fuzzer their branches,
and are too slow for that last rule and for the quick way; checked ones are compiled, with a check of every index. Most
of their memory is the compiler's.
"""


@dataclass(frozen=True)
class FuzzRun:
    """One run.

    Attributes:
        at: when it began, ISO 8601.
        kernels: "interpreted" or "checked".
        seconds: how long files were tried.
        outcomes: how many files were scored, or refused with which error.
        findings: how many files had each finding, by its key.
        peak_bytes: the most memory that the process had.
        limit_bytes: what it could have beyond what it had at the beginning.
        seed: of the fuzzer.
    """

    at: str
    kernels: str
    seconds: float
    outcomes: Mapping[str, int]
    findings: Mapping[str, int]
    peak_bytes: int
    limit_bytes: int
    seed: int

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values()) + sum(self.findings.values())


def add(folder: Path, run: FuzzRun, kept: Sequence[str]) -> None:
    """Add a run to the record in a folder, and write its page anew.

    Args:
        kept: the names of findings that are kept as tests.
    """
    path = folder / f"{_NAME}.json"
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": []}
    record["runs"].append(asdict(run))
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / f"{_NAME}.md").write_text(as_markdown(record, kept), encoding="utf-8")


def as_markdown(record: Mapping[str, Any], kept: Sequence[str]) -> str:
    runs = [FuzzRun(**run) for run in record["runs"]]
    lines = ["# Damaged MOJO files", "", f"`make fuzz-mojo`, {len(runs)} runs, {_span(runs)}.", "", _HOW]
    lines += ["| kernels | minutes | cases | scored | refused | findings | peak memory, MB | limit, MB |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for kernels in sorted({run.kernels for run in runs}):
        lines.append(_row(kernels, [run for run in runs if run.kernels == kernels]))
    lines += [_row("all", runs), ""]
    found = sorted({key for run in runs for key in run.findings})
    lines.append(f"Findings of these runs, by the error and the place of it: {_codes(found)}.")
    lines.append(f"Kept as tests: {_codes(kept)}.")
    return "\n".join(lines) + "\n"


def _row(name: str, runs: Sequence[FuzzRun]) -> str:
    outcomes: Counter[str] = Counter()
    for run in runs:
        outcomes.update(run.outcomes)
    scored = outcomes["scored"]
    return (
        f"| {name} | {sum(run.seconds for run in runs) / 60:.1f} | {sum(run.cases for run in runs):,} | {scored:,} "
        f"| {outcomes.total() - scored:,} | {len({key for run in runs for key in run.findings})} "
        f"| {max(run.peak_bytes for run in runs) / 1e6:,.0f} | {max(run.limit_bytes for run in runs) / 1e6:,.0f} |"
    )


def _span(runs: Sequence[FuzzRun]) -> str:
    days = sorted({run.at[:10] for run in runs})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
