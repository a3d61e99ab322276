"""What a codec is, and the errors with which serving a request can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

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


class Message(NamedTuple):
    """What a client sent: the body, and those headers that say how to read and answer it.

    Attributes:
        content_type: value of `Content-Type`, empty when there is none.
        accept: value of `Accept`, empty when there is none.
        json_length: value of `Inference-Header-Content-Length`, the size in bytes of the JSON that comes before binary
            tensors; None when there is none.
    """

    body: bytes
    content_type: bytes = b""
    accept: bytes = b""
    json_length: int | None = None


class Encoded(NamedTuple):
    """An answer in a protocol's own form. `headers` are those beside Content-Type and Content-Length, lower-case."""

    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(slots=True)
class Call:
    """One decoded request. Made once per request, therefore not frozen: that would make it three times as slow.

    Attributes:
        inputs: one array per input of the signature, with its dtype, all with `rows` as first dimension.
        outputs: the outputs to answer with, in this order.
        id: the client's own name for the request, or None.
        form: what the codec that decoded the request needs to know to encode its answer; nobody else's business.
    """

    inputs: Columns
    rows: int
    outputs: tuple[TensorSpec, ...]
    id: str | None = None
    form: Any = None


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

    def decode(self, message: Message) -> Call:
        """Raises InvalidInput when the message is not a request that fits the signature."""
        ...

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        """Write down the outputs that `call` asks for, each with `call.rows` as first dimension."""
        ...

    def encode_error(self, error: TidegateError) -> bytes:
        """Return the body of an answer that is an error: JSON, or bytes of the protocol's own form."""
        ...


class TooLarge(InvalidInput):
    """The request is larger than this server takes."""

    code = "too_large"


class MethodNotAllowed(InvalidInput):
    """The path takes POST alone."""

    code = "method_not_allowed"


class UnsupportedMediaType(InvalidInput):
    """The body has a form that this path does not take."""

    code = "unsupported_media_type"


class NotAcceptable(InvalidInput):
    """The client takes an answer in none of the forms that there are."""

    code = "not_acceptable"


class BodyTimeout(InvalidInput):
    """The client began a request and did not send the rest of it."""

    code = "body_timeout"


class Overloaded(Unavailable):
    """The queue in front of the model is full; the same request may succeed a moment later."""

    code = "overloaded"


class DeadlineExceeded(Unavailable):
    """The time that the client gave the request is over."""

    code = "deadline_exceeded"


class NotReady(Unavailable):
    """The model is not loaded yet."""

    code = "not_ready"


class ModelFailed(TidegateError):  # noqa: N818
    """The model raised, or answered with something else than its signature says."""

    code = "model_failed"
