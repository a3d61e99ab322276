"""Runs of a pipeline of Mage, by its API: one is started through a trigger, and followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable

#: Between two looks at a run.
_PAUSE_SECONDS = 2.0
#: How long Mage may be away while a run is followed.
_PATIENCE_SECONDS = 120.0
_TIMEOUT_SECONDS = 30.0
_ENDS = ("completed", "failed", "cancelled")


def start(trigger: str, token: str, variables: Mapping[str, Any]) -> int:
    """Start a run; return its number.

    Args:
        trigger: the URL of an API trigger, `…/api/pipeline_schedules/3/api_trigger`, without its token.

    Raises:
        Unavailable: Mage does not answer, or not as it should.
        NotFound: there is no such trigger, or the token is not its own.
    """
    body = {"pipeline_run": {"variables": dict(variables)}}
    answer = _answer(trigger, lambda: httpx.post(trigger, json=body, headers=_bearer(token), timeout=_TIMEOUT_SECONDS))
    found = answer.get("pipeline_run")
    if not isinstance(found, dict) or "id" not in found:
        said = answer.get("error", {})
        told = said.get("message") or said.get("exception") if isinstance(said, dict) else said
        raise NotFound(
            f"Mage has not started a run: {told or 'it does not say why'}",
            subject=trigger,
            hint="see that the trigger is there, active, and of the type API, and that the token is its own",
        )
    return int(found["id"])


def follow(
    trigger: str, token: str, run: int, say: Callable[[str], None], pause: Callable[[float], None] = time.sleep
) -> str:
    """Wait for the end of a run, and say which blocks have ended; return "completed", "failed" or "cancelled".

    Raises:
        Unavailable: Mage has not answered for two minutes, or does not tell this caller. The run goes on.
    """
    parts = urlsplit(trigger)
    url = f"{parts.scheme}://{parts.netloc}/api/pipeline_runs/{run}"
    told: set[str] = set()
    away_since: float | None = None
    while True:
        try:
            answer = _answer(url, lambda: httpx.get(url, headers=_bearer(token), timeout=_TIMEOUT_SECONDS))
        except Unavailable as error:
            away_since = time.monotonic() if away_since is None else away_since
            if time.monotonic() - away_since > _PATIENCE_SECONDS:
                raise
            say(f"{error.message}; the run goes on, as far as is known")
            pause(_PAUSE_SECONDS)
            continue
        away_since = None
        found = answer.get("pipeline_run")
        if not isinstance(found, dict):
            raise Unavailable(
                f"run {run} was started, and Mage does not tell how it goes",
                subject=url,
                hint="with authentication Mage tells only who has logged in: watch the run in its page, or see "
                "`python -m tidegate_pipeline report`",
            )
        for block in found.get("block_runs") or []:
            if block["status"] in _ENDS and block["block_uuid"] not in told:
                told.add(block["block_uuid"])
                say(f"{block['block_uuid']}: {block['status']}")
        if found["status"] in _ENDS:
            return str(found["status"])
        pause(_PAUSE_SECONDS)


def _answer(url: str, ask: Callable[[], httpx.Response]) -> dict[str, Any]:
    try:
        answer = ask()
        if answer.status_code in (401, 403):
            raise _refused(url)
        answer.raise_for_status()
        found = answer.json()
    except httpx.InvalidURL as wrong:
        raise InvalidInput(f"this is no URL: {wrong}", subject=url) from wrong
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"Mage does not answer: {type(error).__name__} {error}", subject=url) from error
    return found if isinstance(found, dict) else {}


def _refused(url: str) -> TidegateError:
    return NotFound("Mage does not take the token", subject=url, hint="a trigger's token is shown under Triggers")


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}
