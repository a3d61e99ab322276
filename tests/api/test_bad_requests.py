"""What no caller should send is refused with one shape of error, and costs the controller nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tidegate.api.app import MAX_BODY_BYTES, build_app
from tidegate.api.stopping import Stopping
from tidegate.controller.home import Home
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.store import Store
from tidegate.target.local import LocalTarget

TOKEN = "a-token"


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    home = Home(tmp_path / "home")
    home.create()
    store = Store(home.database)
    target = LocalTarget(home.root, EnvoyGateway(home.gateway))
    service = Service(home, "http://127.0.0.1:1", store, target, Supervisor(home, store, target))
    return build_app(service, TOKEN, Stopping())


def ask(app: FastAPI, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://controller", headers=headers) as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


@pytest.mark.parametrize("token", [None, "", "another", "ä-token"])
def test_without_the_token_nothing_is_answered(app: FastAPI, token: str | None) -> None:
    async def asked() -> int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://controller") as client:
            return (await client.get("/v1/deployments", headers=headers)).status_code

    assert asyncio.run(asked()) == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rollouts/1", 404),
        ("/v1/rollouts/1/recording", 404),
        ("/v1/rollouts/x", 400),
        (f"/v1/rollouts/{'9' * 30}", 400),
        (f"/v1/rollouts/{'9' * 5000}/report", 400),
        (f"/v1/deployments/churn/events?after={10**30}", 400),
        (f"/v1/deployments/churn/events?rollout={10**30}", 400),
        (f"/v1/deployments/churn/logs?revision={10**30}", 400),
        ("/v1/deployments/churn/logs", 404),
        ("/v1/deployments/..%2f..%2ftoken/logs", 404),
        ("/v1/deployments/churn/drift", 404),
        ("/v1/deployments/churn/drift?since=yesterday", 400),
        ("/v1/deployments/churn/drift?since=2026-01-01T00:00:00", 400),
        (f"/v1/deployments/churn/drift?limit={10**30}", 400),
        (f"/v1/deployments/churn/drift?column={'x' * 300}", 400),
    ],
)
def test_a_number_that_cannot_be_is_a_bad_request_and_not_a_failure(app: FastAPI, path: str, status: int) -> None:
    answer = ask(app, "GET", path)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] in ("invalid_input", "not_found")


@pytest.mark.parametrize("path", ["/v1/deployments", "/v1/deployments/churn/pause", "/v1/deployments/churn/rollback"])
def test_a_body_without_end_is_cut_off_whoever_sends_it(app: FastAPI, path: str) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 8 * MAX_BODY_BYTES:
            sent += 65536
            yield b" " * 65536

    # The transport of httpx collects a body before it sends it, so the app is called as a server calls it.
    async def called() -> list[dict[str, Any]]:
        answered: list[dict[str, Any]] = []
        body = endless()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": await anext(body), "more_body": True}

        async def send(message: Any) -> None:
            answered.append(message)

        headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        rest = {
            "headers": headers,
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
            "asgi": {"version": "3.0"},
        }
        await app({**scope, **rest, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}, receive, send)
        return answered

    answered = asyncio.run(called())
    assert answered[0]["status"] == 400
    assert sent <= MAX_BODY_BYTES + 65536


def test_a_cache_in_redis_without_its_url_is_one_clear_error(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIDEGATE_CACHE_URL", raising=False)
    artifact = {"path": str(tmp_path / "churn.onnx")}
    document = {"modelArtifact": artifact, "servingRequirements": {}, "cache": {"store": "redis"}}
    answer = ask(app, "POST", "/v1/deployments", json=document)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["subject"]) == ("invalid_input", "cache.store")
    assert "TIDEGATE_CACHE_URL=redis://" in error["hint"]
