"""What a running H2O cluster says of itself, asked over its own API: bounded in time and in size, and only read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from tidegate.components.allowed import exactly
from tidegate.components.image_contents import java_versions
from tidegate.components.records import H2O, Component, Found
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.outgoing import CallError, answer, body_of

TIMEOUT_SECONDS = 5.0
#: A node takes a kilobyte of what a cluster tells; there are clusters of hundreds.
MOST_BYTES = 4 << 20
#: The last one is a dump of threads, which is where H2O tells its Java: frames name the version of their module.
_CLOUD, _ABOUT, _THREADS = "/3/Cloud?skip_ticks=true", "/3/About", "/3/JStack"
_JAVA = re.compile(r"\bjava\.base@(\d[\w.+]*)/")


def found_in_cluster(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> list[Found]:
    """Ask a cluster for its version.

    Args:
        url: such as http://127.0.0.1:54321; a name and a password may stand before the host.
        timeout_seconds: of each of three questions.

    Raises:
        InvalidInput: the URL is none of HTTP.
        Unavailable: no answer in time, or none that a cluster of H2O gives.
    """
    parts = urlsplit(url)
    try:
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_http = False
    if not is_http:
        raise InvalidInput(
            "The address of a cluster is a URL of HTTP.", subject="--cluster", expected="http://127.0.0.1:54321"
        )
    place = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return asyncio.run(_asked(base, place, timeout_seconds))


async def _asked(base: str, place: str, timeout_seconds: float) -> list[Found]:
    cloud = await _document(base, _CLOUD, place, timeout_seconds)
    about = await _document(base, _ABOUT, place, timeout_seconds)
    version = cloud.get("version")
    built = entries_of(about).get("Build project version")
    if not isinstance(version, str) or exactly(version) is None or built is None:
        raise Unavailable(
            f"{place} answers, and not as a cluster of H2O does.", subject=place, hint="Is it H2O-3 that listens there?"
        )
    server = Found(Component.SERVER, place, version, exactly(version), is_running=True)
    try:
        threads = await _document(base, _THREADS, place, timeout_seconds)
    except Unavailable as error:
        return [server, *javas_of({}, place, error.message)]
    return [server, *javas_of(threads, place)]


def entries_of(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what `/3/About` lists, by name. Pure."""
    return {str(one.get("name")): str(one.get("value")) for one in _listed(about.get("entries"))}


def javas_of(threads: Mapping[str, Any], place: str, trouble: str = "the cluster does not tell it") -> list[Found]:
    """Return the Javas of a cluster's nodes, each once; one that cannot be told where none is. Pure."""
    told = [line for node in _listed(threads.get("traces")) for line in node.get("thread_traces") or []]
    versions = dict.fromkeys(found[1] for line in told if (found := _JAVA.search(str(line))) is not None)
    remedy, beside = "start the cluster with Java 17", frozenset({H2O})
    if not versions:
        return [Found(Component.JAVA, place, "of the cluster", None, remedy, trouble, beside, is_running=True)]
    return [
        Found(Component.JAVA, place, version, java_versions(version), remedy, None, beside, is_running=True)
        for version in versions
    ]


def _listed(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


async def _document(base: str, path: str, place: str, timeout_seconds: float) -> dict[str, Any]:
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    try:
        async with answer("GET", base + path, timeout_seconds, headers=headers) as response:
            status, body = response.status_code, await body_of(response, MOST_BYTES)
    except CallError as error:
        raise Unavailable(f"H2O's cluster at {place} cannot be asked: {error}.", subject=place) from error
    if status == 401:
        hint = "Put a name and a password before the host: http://NAME:PASSWORD@HOST:54321"
        raise Unavailable(f"H2O's cluster at {place} wants to know who asks.", subject=place, hint=hint)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if status != 200 or not isinstance(document, dict):
        raise Unavailable(
            f"{place} answers {path.partition('?')[0]} with {status}, and not as a cluster of H2O does.", subject=place
        )
    return document
