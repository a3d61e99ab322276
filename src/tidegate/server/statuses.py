"""Which HTTP status each error becomes: the one table."""

from __future__ import annotations

from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.server.protocols.base import (
    BodyTimeout,
    DeadlineExceeded,
    MethodNotAllowed,
    ModelFailed,
    NotAcceptable,
    TooLarge,
    UnsupportedMediaType,
)

_STATUSES: tuple[tuple[type[TidegateError], int], ...] = (
    (TooLarge, 413),
    (MethodNotAllowed, 405),
    (BodyTimeout, 408),
    (UnsupportedMediaType, 415),
    (NotAcceptable, 406),
    (InvalidInput, 400),
    (NotFound, 404),
    (DeadlineExceeded, 504),
    (Unavailable, 503),
    (ModelFailed, 500),
)


def status_of(error: TidegateError) -> int:
    """Return the status of the first class in the table that the error is one of; 500 when there is none."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return 500
