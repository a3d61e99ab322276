"""Golden requests from rows and the answers that a deployment gave to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def golden_document(
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    absolute: float | None,
    relative: float | None,
) -> dict[str, Any]:
    """Return a file of golden requests with one request per row.

    Args:
        absolute, relative: the tolerance of every output that has numbers with decimals; None for that of the format.
    """
    requests = [
        {"name": f"row {at}", "predict": [dict(row)], "expect": [dict(answer)]}
        for at, (row, answer) in enumerate(zip(rows, answers, strict=True))
    ]
    tolerance = {key: value for key, value in (("absolute", absolute), ("relative", relative)) if value is not None}
    if not tolerance:
        return {"requests": requests}
    outputs = sorted({name for answer in answers for name, value in answer.items() if _has_decimals(value)})
    return {"tolerances": dict.fromkeys(outputs, tolerance), "requests": requests}


def _has_decimals(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_decimals, value.values()))
    if isinstance(value, list):
        return any(map(_has_decimals, value))
    return isinstance(value, float)
