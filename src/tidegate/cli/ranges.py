"""What is normal for stable and what the candidate does, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.table import Table

from tidegate.cli.humanize import percent

SPANS = ("stable_before", "stable", "candidate")


def ranges_table(ranges: Mapping[str, Any]) -> Table:
    """Return one line per metric: observed, and in brackets the range in which it lies as far as was seen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("normal ranges", "stable before", "stable meanwhile", "candidate"):
        table.add_column(heading, no_wrap=True)
    spans = [ranges[name] for name in SPANS]
    table.add_row("requests per second", *(_told(span["throughput_rps"], "{:.3g}".format) for span in spans))
    table.add_row("failed", *(_told(span["error_rate"], lambda rate: percent(round(100 * rate, 2))) for span in spans))
    for name in ("p50", "p90", "p99"):
        table.add_row(f"latency {name}", *(_told(span["latency_ms"][name], "{:.3g} ms".format) for span in spans))
    return table


def _told(found: Mapping[str, float] | None, shown: Callable[[float], str]) -> str:
    if found is None:
        return "-"
    return f"{shown(found['observed'])} ({shown(found['low'])} to {shown(found['high'])})"
