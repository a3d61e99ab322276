"""The FastAPI application: the routes that are not hot, and the way past them to those that are.

Paths are relative wherever a client follows them, because the gateway serves a deployment under a prefix of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.exceptions import HTTPException

from tidegate.contract.errors import TidegateError
from tidegate.server.endpoint import InferenceEndpoint
from tidegate.server.metadata import check_model, model_metadata, not_here, server_metadata
from tidegate.server.openapi import complete
from tidegate.server.page import render_page
from tidegate.server.replica import Replica
from tidegate.server.repository import add_repository
from tidegate.server.statuses import status_of
from tidegate.server.tensorflow_serving import add_tensorflow_serving, tensorflow_serving_endpoints


def build_app(replica: Replica) -> FastAPI:
    """Return the ASGI application with every route of the replica but those of `hot_endpoints`."""
    identity = replica.settings.identity
    app = FastAPI(
        title=f"{identity.model_name}, revision {identity.revision}",
        version=identity.model_version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # It would lead to an absolute address, from which a gateway's prefix is missing.
        redirect_slashes=False,
    )
    _add_health(app, replica)
    _add_metadata(app, replica)
    add_repository(app, replica)
    add_tensorflow_serving(app, replica)
    _add_metrics(app, replica)
    _add_documentation(app, replica)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(TidegateError, _domain_error)
    return app


def _json(document: Any, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status_code, headers, media_type="application/json")


def hot_endpoints(replica: Replica) -> dict[bytes, InferenceEndpoint]:
    """Return the endpoints of inference requests by their paths, which `connection` answers past the application."""
    identity = replica.settings.identity
    predict, infer = _predict_endpoint(replica), InferenceEndpoint(replica, replica.oip)
    model = f"/v2/models/{identity.model_name}"
    paths = {
        "/predict": predict,
        f"{model}/infer": infer,
        f"{model}/versions/{identity.model_version}/infer": infer,
        **tensorflow_serving_endpoints(replica),
    }
    return {path.encode(): endpoint for path, endpoint in paths.items()}


def _predict_endpoint(replica: Replica) -> InferenceEndpoint:
    settings = replica.settings
    if settings.features is None:
        return InferenceEndpoint(replica, replica.predict)
    from tidegate.server.features.completer import Completer
    from tidegate.server.features.endpoint import CompletingEndpoint

    inputs = [spec.name for spec in replica.bundle.signature.inputs]
    replica.completer = Completer(settings.features, inputs, settings.limits)
    replica.metrics.add_source(replica.completer.counts.metrics)
    return CompletingEndpoint(replica, replica.predict, replica.completer)


def _add_health(app: FastAPI, replica: Replica) -> None:
    @app.get("/v2/health/live", tags=["health"])
    async def live() -> Response:
        """Say whether the process answers at all."""
        return _json({"live": True})

    @app.get("/v2/health/ready", tags=["health"])
    async def ready() -> Response:
        """Say whether to send requests here: 200 once the model is warm, 503 before and while draining.

        A replica of several workers is not ready while one of them is dead; the others answer requests meanwhile.
        """
        return _readiness({}, replica)

    @app.get("/v2/models/{name}/ready", tags=["health"])
    async def model_ready(name: str) -> Response:
        """Say whether this model is ready."""
        check_model(replica.settings.identity, name)
        return _readiness({"name": name}, replica)

    @app.get("/v2/models/{name}/versions/{version}/ready", tags=["health"])
    async def version_ready(name: str, version: str) -> Response:
        """Say whether this version of the model is ready."""
        check_model(replica.settings.identity, name, version)
        return _readiness({"name": name}, replica)


def _readiness(facts: dict[str, Any], replica: Replica) -> Response:
    document = {**facts, "ready": replica.is_ready, "phase": replica.phase.value}
    if replica.lack is not None:
        document["reason"] = replica.lack
    return _json(document, status_code=200 if replica.is_ready else 503)


def _add_metadata(app: FastAPI, replica: Replica) -> None:
    @app.get("/v2", tags=["metadata"])
    async def server() -> Response:
        """Name the server, its version and the protocol's extensions that it speaks."""
        return _json(server_metadata())

    @app.get("/v2/models/{name}", tags=["metadata"])
    async def model(name: str) -> Response:
        """Name the model's inputs and outputs."""
        check_model(replica.settings.identity, name)
        return _json(model_metadata(replica.settings.identity, replica.bundle))

    @app.get("/v2/models/{name}/versions/{version}", tags=["metadata"])
    async def model_version(name: str, version: str) -> Response:
        """Name the inputs and outputs of this version of the model."""
        check_model(replica.settings.identity, name, version)
        return _json(model_metadata(replica.settings.identity, replica.bundle))

    @app.post("/v2/models/{name}/infer", include_in_schema=False)
    @app.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
    async def infer_elsewhere(name: str, version: str | None = None) -> Response:
        """Say what is here instead; the model that is here has hot paths of its own."""
        raise not_here(replica.settings.identity, name, version)


def _add_metrics(app: FastAPI, replica: Replica) -> None:
    @app.get("/metrics", tags=["metrics"])
    async def metrics(request: Request) -> Response:
        """Metrics for Prometheus."""
        accept = request.headers.get("accept", "")
        siblings = replica.siblings
        body, content_type = (
            replica.metrics.exposition(accept) if siblings is None else await siblings.exposition(accept)
        )
        return Response(body, headers={"content-type": content_type})


def _add_documentation(app: FastAPI, replica: Replica) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes, servers=[{"url": "."}])
            app.openapi_schema = complete(document, replica.bundle, replica.settings.identity)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_document() -> Response:
        return _json(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(render_page(replica.bundle, replica.settings.identity))

    @app.get("/", include_in_schema=False)
    async def root() -> Response:
        return RedirectResponse("docs")


async def _http_error(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "internal error"
    headers = error.headers if isinstance(error, HTTPException) else None
    return _json({"error": detail}, status_code=status, headers=headers)


async def _domain_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, TidegateError):
        raise error
    return _json({"error": error.message}, status_code=status_of(error))
