"""The distributions that the judge compared: shares per bin of candidate and stable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tidegate.drawing.bars import pairs_of_bars

Report = Mapping[str, Any]


def shifts_of(report: Report) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (signal, shift) of the last step in which distributions were compared."""
    for step in reversed(report["steps"]):
        signals = [one for one in (step["verdict"] or {}).get("signals", ()) if one.get("shifts")]
        found = [(one["signal"], shift) for one in signals for shift in one["shifts"] if sum(shift["candidate"])]
        if found:
            yield from found
            return


def shift_plot(shift: Mapping[str, Any]) -> str:
    """Return the shares of the requests per bin, a pair of bars each."""
    sides = {role: shift[role] for role in ("candidate", "stable")}
    label = f"Distribution of {shift['feature']}, candidate and stable"
    return pairs_of_bars([str(name) for name in shift["bins"]], sides, what="requests", label=label)
