"""How durations are spread. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """Return how many durations there are, and in milliseconds their median, p99, p99.9 and the longest."""
    values = np.asarray(seconds) * 1000
    p50, p99, p999 = np.percentile(values, [50, 99, 99.9]).round(4).tolist()
    return {
        "count": len(values),
        "p50_ms": p50,
        "p99_ms": p99,
        "p999_ms": p999,
        "longest_ms": round(float(values.max()), 3),
    }
