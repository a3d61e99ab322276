"""Instant queries to a Prometheus server (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.measure.errors import UnmeasurableError
from tidegate.measure.web import fetch


async def query(
    address: str, text: str, headers: Mapping[str, str], timeout_seconds: float, moment: float | None = None
) -> list[float] | float:
    """Return the values that a query finds, one a series, or the number of a scalar.

    Args:
        moment: for which it is evaluated, in seconds since 1970; None: for when the server gets it.

    Raises:
        UnmeasurableError: the server does not answer, refuses the query, or the query finds what are no single values.
    """
    form = {"query": text, "timeout": f"{timeout_seconds:g}s"}
    if moment is not None:
        form["time"] = f"{moment:.3f}"
    url = f"{address.rstrip('/')}/api/v1/query"
    document = await fetch("POST", url, headers, timeout_seconds, form=form, is_told=True)
    if not isinstance(document, dict):
        raise UnmeasurableError("what answers is no Prometheus")
    if document.get("status") != "success":
        raise UnmeasurableError(f"Prometheus refuses: {document.get('error', 'it does not say why')}")
    return _values(document.get("data"))


def _values(data: Any) -> list[float] | float:
    try:
        match data["resultType"]:
            case "vector":
                return [float(series["value"][1]) for series in data["result"]]
            case "scalar":
                return float(data["result"][1])
            case kind:
                raise UnmeasurableError(f"the query finds a {kind}, not a value a series; name no range")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise UnmeasurableError("what answers is no Prometheus") from None
