"""What a codec is, and the errors with which serving a request can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.runtime.base import Columns, TensorSpec


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may ask for.

    Attributes:
        body_bytes: size of the request body; more is answered 413.
        rows: length of the batch dimension; more is answered 413.
    """

    body_bytes: int = 16 * 1024 * 1024
    rows: int = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """One decoded request.

    Attributes:
        inputs: one array per input of the signature, with its dtype, all with `rows` as first dimension.
        outputs: the outputs to answer with, in this order.
        id: the client's own name for the request, or None.
    """

    inputs: Columns
    rows: int
    outputs: tuple[TensorSpec, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose answers these are, as far as a client gets to know."""

    model_name: str
    model_version: str
    deployment: str
    revision: int


class Codec(Protocol):
    """One protocol, bound to one signature. Its methods are pure and are called from several threads at once."""

    #: Value of the metric label `protocol`.
    protocol: str
    content_type: bytes

    def decode(self, body: bytes) -> Call:
        """Raises InvalidInput when the body is not a request that fits the signature."""
        ...

    def encode(self, call: Call, outputs: Columns) -> bytes: ...

    def encode_error(self, error: TidegateError) -> bytes: ...


class TooLarge(InvalidInput):
    """The request is larger than this server takes."""

    code = "too_large"


class BodyTimeout(InvalidInput):
    """The client began a request and did not send the rest of it."""

    code = "body_timeout"


class Overloaded(Unavailable):
    """The queue in front of the model is full; the same request may succeed a moment later."""

    code = "overloaded"


class NotReady(Unavailable):
    """The model is not loaded yet."""

    code = "not_ready"


class ModelFailed(TidegateError):  # noqa: N818
    """The model raised, or answered with something else than its signature says."""

    code = "model_failed"
