"""How counts and rates are written in reasons."""

from __future__ import annotations

import math


def percent(rate: float) -> str:
    """Return a rate as people write it, with two digits that say something: "6.7 %", "0.075 %", "33.3 %", "0 %"."""
    value = 100.0 * rate
    if value <= 1e-6:
        return "0 %"
    digits = 1 if value >= 10.0 else 1 - math.floor(math.log10(value))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + " %"


def of_requests(count: int) -> str:
    """Return the word behind a number of them."""
    return "request" if count == 1 else "requests"
