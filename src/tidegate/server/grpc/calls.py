"""What every method has to do with its call: read the request, and end with the status of an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

from google.protobuf.message import DecodeError

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.server.grpc.statuses import code_of, shortened

#: A call of gRPC's own; its stubs leave open what bytes go in and out.
Context = Any
Method = Callable[[bytes, Context], Awaitable[bytes]]


async def refuse(error: TidegateError, context: Context) -> NoReturn:
    """End the call with the status of an error, and the metadata that was set to follow the answer."""
    await context.abort(code_of(error), shortened(error.message), context.trailing_metadata())
    raise AssertionError("abort raises")


async def parsed(kind: Any, body: bytes, context: Context) -> Any:
    """Return the request as a message of this class; end the call when it is none."""
    try:
        return kind.FromString(body)
    except DecodeError as error:
        await refuse(InvalidInput(f"the request is not a {kind.DESCRIPTOR.name}: {error}"), context)
