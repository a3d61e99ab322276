"""One measurement of a metric, whichever provider it names."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.contract.metrics import Header, HttpProvider, Metric, PrometheusProvider, PythonProvider, filled
from tidegate.measure.errors import UnmeasurableError
from tidegate.measure.function import call, source_of
from tidegate.measure.place import at
from tidegate.measure.prometheus import query
from tidegate.measure.web import fetch

#: Counters in Prometheus are read as they stood so long ago: what was scraped before that is there by now.
_SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Asked:
    """Whom a measurement is about.

    Attributes:
        revision: the one that is asked about, `candidate` or `stable`.
    """

    deployment: str
    candidate: int
    stable: int
    revision: int

    def values(self) -> dict[str, str]:
        """Return what stands for the placeholders."""
        return {
            "deployment": self.deployment,
            "candidate": str(self.candidate),
            "stable": str(self.stable),
            "revision": str(self.revision),
        }


async def ask(metric: Metric, asked: Asked, environ: Mapping[str, str] = os.environ) -> Any:
    """Return what the metric's provider says now, as a JSON value.

    Args:
        environ: where the values of headers are looked up.

    Raises:
        UnmeasurableError: it does not say, in time or at all.
    """
    if metric.prometheus is not None:
        return await _query(metric.prometheus, metric.prometheus.query or "", asked, environ)
    if metric.http is not None:
        document = await _fetch(metric.http, asked, environ)
        return document if metric.http.path is None else at(document, metric.http.path)
    return await _call(metric.python, asked)


async def numbers_of(
    metric: Metric, asked: Asked, places: tuple[str, ...], environ: Mapping[str, str] = os.environ
) -> list[Any]:
    """Return the values at several places, of one moment: for Prometheus of as many queries, else out of one answer.

    Raises:
        UnmeasurableError: one of them is not to be had.
    """
    if metric.prometheus is not None:
        # A scrape between two queries would count bad events of which the total knows nothing, or the other way round.
        moment = time.time() - _SETTLED_SECONDS
        return [await _query(metric.prometheus, place, asked, environ, moment) for place in places]
    if metric.http is not None:
        document = await _fetch(metric.http, asked, environ)
        document = document if metric.http.path is None else at(document, metric.http.path)
    else:
        document = await _call(metric.python, asked)
    return [at(document, place) for place in places]


async def _query(
    provider: PrometheusProvider, text: str, asked: Asked, environ: Mapping[str, str], moment: float | None = None
) -> Any:
    values = asked.values()
    headers = _headers(provider.headers, environ)
    address = filled(provider.address, values)
    return await query(address, filled(text, values), headers, provider.timeout.seconds, moment)


async def _fetch(provider: HttpProvider, asked: Asked, environ: Mapping[str, str]) -> Any:
    values = asked.values()
    body = _filled(provider.body, values) if provider.method == "POST" else None
    return await fetch(
        provider.method,
        filled(provider.url, values),
        _headers(provider.headers, environ),
        provider.timeout.seconds,
        json=body,
    )


async def _call(provider: PythonProvider | None, asked: Asked) -> Any:
    if provider is None:
        raise UnmeasurableError("no provider is named")
    context = {
        "deployment": asked.deployment,
        "candidate": asked.candidate,
        "stable": asked.stable,
        "revision": asked.revision,
    }
    return await call(Path(provider.path), provider.function, context, provider.timeout.seconds)


async def check(metric: Metric, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UnmeasurableError for what can be known to go wrong before anything is asked; nobody is asked."""
    for provider in (metric.prometheus, metric.http):
        if provider is not None:
            _headers(provider.headers, environ)
    if metric.python is not None:
        await asyncio.to_thread(source_of, Path(metric.python.path))


def _headers(headers: Mapping[str, Header], environ: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, header in headers.items():
        value = header.value
        if header.value_from_env is not None:
            value = environ.get(header.value_from_env, "").strip()
            if not value:
                raise UnmeasurableError(f"the controller has no {header.value_from_env} in its environment")
            if not value.isascii() or not value.isprintable():
                raise UnmeasurableError(f"{header.value_from_env} holds what no header can")
        found[name] = value or ""
    return found


def _filled(body: Any, values: Mapping[str, str]) -> Any:
    """Return a JSON value with the placeholders in its texts filled in."""
    match body:
        case str():
            return filled(body, dict(values))
        case list():
            return [_filled(each, values) for each in body]
        case dict():
            return {key: _filled(each, values) for key, each in body.items()}
        case _:
            return body
