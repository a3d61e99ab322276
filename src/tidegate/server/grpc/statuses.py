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
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}

#: Status and sentence travel in headers, of which gRPC allows 8 KiB in all.
_LONGEST_DETAILS = 2000


def code_of(error: TidegateError) -> grpc.StatusCode:
    """Return the code of an error."""
    return code_of_status(status_of(error))


def code_of_status(status: int) -> grpc.StatusCode:
    """Return the code of an HTTP status that is an error; for one without a place in the table, whose fault it is."""
    if status in _CODES:
        return _CODES[status]
    return grpc.StatusCode.INVALID_ARGUMENT if 400 <= status < 500 else grpc.StatusCode.INTERNAL


def shortened(text: str) -> str:
    """Return a sentence as it may go with a code."""
    return text if len(text) <= _LONGEST_DETAILS else text[: _LONGEST_DETAILS - 1] + "…"
