"""Which HTTP status an error has: the one table, and the one JSON shape of every error."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, NotTrusted, TidegateError, Unavailable

log = logging.getLogger(__name__)

#: The most special class first.
STATUSES: tuple[tuple[type[TidegateError], int], ...] = (
    (NotTrusted, 400),
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
    (TidegateError, 500),
)


def status_of(error: TidegateError) -> int:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def install(app: FastAPI) -> None:
    """Make every error of the app answer `{"error": {"code", "message", …}}`."""

    @app.exception_handler(TidegateError)
    async def _ours(_request: Request, error: TidegateError) -> JSONResponse:
        return JSONResponse({"error": error.as_dict()}, status_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "body"
        told = InvalidInput(f"{where}: {first['msg']}", subject=where)
        return JSONResponse({"error": told.as_dict()}, 400)

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
        code = codes.get(error.status_code, "error")
        body = {"error": {"code": code, "message": str(error.detail)}}
        return JSONResponse(body, error.status_code, headers=error.headers)

    @app.exception_handler(OSError)
    async def _refused(request: Request, error: OSError) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        told = Unavailable(
            f"the controller's files cannot be written or read: {error.strerror or error}",
            subject=str(error.filename) if error.filename is not None else None,
            hint="make room on the disk, or see what else is wrong with: tidegate doctor",
        )
        return JSONResponse({"error": told.as_dict()}, status_of(told))

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        body = {"error": {"code": "internal", "message": "the controller failed; its log has the details"}}
        return JSONResponse(body, 500)
