"""Sends golden requests to one replica, past the gateway: no user's request is near them, and nothing counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tidegate.contract.errors import Unavailable
from tidegate.contract.golden import GoldenRequest, GoldenRequests
from tidegate.gate.golden import Answer, Outcome, outcome

_MOST_TEXT = 200


@dataclass(frozen=True)
class Asked:
    """What came of asking a replica: `address` is HOST:PORT, `seconds` how long all requests took."""

    outcome: Outcome
    address: str
    seconds: float


async def ask(golden: GoldenRequests, address: str, model: str, timeout_seconds: float) -> Asked:
    """Send the requests one after the other and compare the answers.

    A request that is not answered in time is a mismatch like a wrong answer: users would wait as long.

    Args:
        address: HOST:PORT of a replica that is ready.
        model: name of the model, for the Open Inference Protocol.
        timeout_seconds: for each request.

    Raises:
        Unavailable: the replica cannot be reached, or went away in the middle; ask again.
    """
    began = time.monotonic()
    answers = []
    # No certificates: they take long to load, and it is HTTP on loopback.
    opened = httpx.AsyncClient(base_url=f"http://{address}", timeout=timeout_seconds, trust_env=False, verify=False)  # noqa: S501
    async with opened as client:
        for number, request in enumerate(golden.requests, start=1):
            answers.append(await _answer(client, request, model, number))
    return Asked(outcome(golden, answers), address, time.monotonic() - began)


async def _answer(client: httpx.AsyncClient, request: GoldenRequest, model: str, number: int) -> Answer:
    path, body = _path_and_body(request, model)
    try:
        response = await client.post(path, json=body, headers={"x-request-id": f"golden-{number}"})
    except httpx.TimeoutException:
        return Answer(504, text="no answer in time")
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the replica at {client.base_url.netloc.decode()} could not be asked: {error or type(error).__name__}"
        ) from error
    try:
        return Answer(response.status_code, response.json())
    except ValueError:
        return Answer(response.status_code, text=response.text[:_MOST_TEXT])


def _path_and_body(request: GoldenRequest, model: str) -> tuple[str, Any]:
    if request.predict is not None:
        return "/predict", request.predict
    if request.infer is not None:
        return f"/v2/models/{quote(model, safe='')}/infer", request.infer
    assert request.post is not None  # noqa: S101 (the document has one of the three)
    return request.post.path, request.post.body
