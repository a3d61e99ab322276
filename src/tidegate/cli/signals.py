"""What the judge says, signal by signal: counts, verdict, and how far the evidence has come in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from tidegate.cli.humanize import count, percent

METER_CELLS = 10
OUTCOME_STYLES = {"pass": "green", "warning": "yellow", "error": "magenta", "fail": "red", "inconclusive": "yellow"}


def signals_table(signals: Sequence[Mapping[str, Any]]) -> Table:
    """Return one line per signal. Both meters run from no evidence to what a verdict takes."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("signal", "candidate", "stable", "verdict", "harm", "safety"):
        table.add_column(heading, no_wrap=True)
    for signal in signals:
        outcome = str(signal.get("outcome", "-"))
        table.add_row(
            str(signal.get("signal", "-")),
            tally_text(signal.get("candidate")),
            tally_text(signal.get("stable")),
            Text(outcome, style=OUTCOME_STYLES.get(outcome, "")),
            Text(meter(signal.get("harm")), style="red"),
            Text(meter(signal.get("safety")), style="green"),
        )
    return table


def metrics_table(metrics: Sequence[Mapping[str, Any]]) -> Table:
    """Return one line per metric with a threshold of the user's own."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("metric", "measured", "failed", "verdict", "harm", "safety"):
        table.add_column(heading, no_wrap=True)
    table.add_column("last", overflow="fold")
    for metric in metrics:
        outcome = str(metric.get("outcome", "-"))
        table.add_row(
            str(metric.get("signal", "-")),
            count(metric.get("measurements", 0)),
            count(metric.get("failures", 0)),
            Text(outcome, style=OUTCOME_STYLES.get(outcome, "")),
            Text(meter(metric.get("harm")), style="red"),
            Text(meter(metric.get("safety")), style="green"),
            Text(str(metric.get("last") or "-")),
        )
    return table


def tally_text(tally: Mapping[str, int] | None) -> str:
    """Return bad events of all events and their share: "14/210 (6.7 %)"; a dash without requests."""
    if not tally or not tally.get("requests"):
        return "-"
    requests, bad = tally["requests"], tally["bad"]
    return f"{count(bad)}/{count(requests)} ({percent(100 * bad / requests)})"


def meter(evidence: float | None) -> str:
    """Return evidence as a bar and a percentage of what a verdict takes; more than enough is shown as full."""
    if evidence is None:
        return "-"
    part = min(1.0, max(0.0, evidence))
    filled = int(part * METER_CELLS)
    return f"{'█' * filled}{'░' * (METER_CELLS - filled)} {int(part * 100):>3} %"
