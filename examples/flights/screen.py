"""What the demo says: Rich in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from examples.flights.summary import Claim
from examples.flights.train import TrainedModel

#: Width of tables in a log, where there is no terminal to ask.
PLAIN_WIDTH = 140


class Screen:
    """Writes to stdout. Lines of a command under way may come from another thread."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._console = Console(highlight=False, emoji=False, width=None if self._is_terminal else PLAIN_WIDTH)
        self._begun = time.monotonic()

    def chapter(self, title: str) -> None:
        at = f"{time.monotonic() - self._begun:5.1f} s"
        self._console.print()
        self._console.print(Text.assemble((title, "bold"), ("  " + at.strip(), "dim")), soft_wrap=True)

    def say(self, line: str) -> None:
        self._console.print(Text(f"  {line}"), soft_wrap=True)

    def typed(self, line: str) -> None:
        """Show a command as it was typed."""
        self._console.print(Text.assemble(("  $ ", "dim"), (line, "cyan")), soft_wrap=True)

    def told(self, line: str) -> None:
        """Show a line that a command wrote, cut to the width: reasons with all their numbers are in the reports."""
        text = Text(f"    {line}", style="dim")
        text.truncate(self._console.width, overflow="ellipsis")
        self._console.print(text, soft_wrap=True)

    def failed(self, message: str) -> None:
        self._console.print(Text(message, style="bold red"), soft_wrap=True)

    def models(self, models: Sequence[TrainedModel], kept: str) -> None:
        """Show the models.

        Args:
            kept: which rows v3's author kept.
        """
        table = self._table("version", "framework", "trained on", "flights", "AUC offline", "on flights of September")
        for model in models:
            first, last = model.months
            table.add_row(
                f"v{model.version}",
                model.framework,
                f"months {first}-{last}",
                f"{model.rows:,}",
                f"{model.offline_auc:.4f}",
                f"{model.offline_rows:,}" + (f", {kept}" if model.version == 3 else ""),
            )
        self._console.print(table)

    def summary(self, report: Mapping[str, Any], claims: Sequence[Claim], path: Path) -> None:
        """Show what the run showed."""
        self.chapter("Summary")
        traffic = self._table("revision", "requests", "failed", "p50 ms", "p99 ms", "max ms")
        for revision, counted in report["requests"].items():
            latency = counted["latency_ms"] or {}
            cells = [f"{latency[name]:.1f}" if name in latency else "-" for name in ("p50", "p99", "max")]
            traffic.add_row(revision, f"{counted['requests']:,}", str(counted["failed"]), *cells)
        self._console.print(traffic)
        steps = self._table("rollout", "split asked", "split seen by the client", "requests", "time")
        for version in ("v2", "v3"):
            for step in report[version]["steps"]:
                seen = "-" if step["seen_percent"] is None else f"{step['seen_percent']:.1f} %"
                steps.add_row(version, f"{step['weight']} %", seen, f"{step['requests']:,}", f"{step['seconds']:.1f} s")
        self._console.print(steps)
        v2, v3, kill = report["v2"], report["v3"], report["controller_kill"]
        self._facts(
            [
                ("requests in all", f"{report['requests_in_all']:,} in {report['seconds']:g} s"),
                ("v2", f"{_words(v2['outcome'])} after {v2['seconds']:.0f} s"),
                ("v3", f"{_words(v3['outcome'])} after {v3['seconds']:.0f} s: {v3['reason']}"),
                ("time to verdict on v3", _seconds(v3["time_to_verdict"])),
                ("from verdict to 0 %", _seconds(v3["verdict_to_zero_percent"])),
                (
                    "to its last request",
                    f"{_seconds(v3['verdict_to_last_request'])} after the verdict, by the client's clock",
                ),
                ("change of split", f"{report['split_changes_ms']['max']} ms at most"),
                ("controller killed", f"dead for {kill['dead_seconds']} s, {kill['requests']:,} requests in that time"),
            ]
        )
        self._console.print()
        for claim in claims:
            mark, style = ("ok  ", "green") if claim.holds else ("FAIL", "bold red")
            self._console.print(Text.assemble((f"  {mark}", style), f"  {claim.text} ({claim.found})"), soft_wrap=True)
        self._console.print()
        reports = [file for version in (v2, v3) for file in version["reports"]]
        self._facts([("report", str(path)), *(("", file) for file in reports)])

    def commands(self, title: str, lines: Sequence[str]) -> None:
        """Show commands to copy."""
        self._console.print()
        self._console.print(Text(title, style="bold"))
        for line in lines:
            self._console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)

    def _facts(self, facts: Sequence[tuple[str, str]]) -> None:
        width = max(len(label) for label, _ in facts)
        for label, fact in facts:
            self._console.print(Text.assemble((f"  {label:<{width}}  ", "dim"), fact), soft_wrap=True)

    def _table(self, *headings: str) -> Table:
        ruled = box.SIMPLE_HEAD if self._is_terminal else None
        table = Table(box=ruled, pad_edge=True, padding=(0, 2, 0, 2), header_style="bold")
        for heading in headings:
            table.add_column(heading)
        return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:g} s"


def _words(outcome: str | None) -> str:
    return (outcome or "not ended").replace("_", " ")
