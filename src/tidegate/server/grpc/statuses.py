"""Which gRPC status each error becomes: that of its HTTP status, so that one table decides about both.

A request that holds too much is INVALID_ARGUMENT, because the same request will never do; RESOURCE_EXHAUSTED is what
clients take as "later". gRPC itself answers that to a message beyond the size limit, before any of our code sees it.
"""

from __future__ import annotations

import grpc

from tidegate.contract.errors import TidegateError
from tidegate.server.statuses import status_of

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

#: Status and sentence travel in headers, of which gRPC allows 8 KiB in all.
_LONGEST_DETAILS = 2000


def code_of(error: TidegateError) -> grpc.StatusCode:
    """Return the code of an error; INTERNAL for what has no place in the table."""
    return _CODES.get(status_of(error), grpc.StatusCode.INTERNAL)


def details_of(error: TidegateError) -> str:
    """Return the sentence that goes with the code."""
    text = error.message
    return text if len(text) <= _LONGEST_DETAILS else text[: _LONGEST_DETAILS - 1] + "…"
