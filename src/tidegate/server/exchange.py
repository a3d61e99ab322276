"""One request on its way through the server, from its last byte to its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from tidegate.contract.errors import TidegateError
from tidegate.server.protocols.base import Codec, Encoded, Message


@dataclass(slots=True)
class Answer:
    """A successful answer and where its time went.

    Attributes:
        queue_seconds: from the request's last byte to its first work.
        model_seconds: time of the model, for the whole batch that the request was part of.
        batch_requests: requests that the model answered together, this one included.
        cache: "hit", "miss" or "bypass"; None when there is no cache.
    """

    encoded: Encoded
    rows: int
    queue_seconds: float
    model_seconds: float
    batch_requests: int = 1
    cache: str | None = None


class Exchange:
    """A request and the place for its outcome.

    It belongs to the event loop until it is handed to the pool, then to one thread, and to the loop again when `done`
    is called there. `cancelled` is the one thing that the loop may set in between.

    Attributes:
        message: None once nobody wants the answer any more, so that a large body does not wait in a queue.
        arrived: when the request was whole, seconds of `time.perf_counter`.
        deadline: when its client stops waiting, on the same clock; infinite when it never does.
        request_id: as echoed to the client.
        is_copied: another revision got the same request, so that their answers can be compared.
        noted_inputs: their JSON for the prediction log, where it was made before the model had them.
        finished: its outcome was handed over to `done`; set on the loop's thread.
        done: called on the loop's thread, once, with this exchange; either `answer` or `error` is set then.
    """

    __slots__ = (
        "answer",
        "arrived",
        "cancelled",
        "codec",
        "deadline",
        "done",
        "error",
        "finished",
        "is_copied",
        "message",
        "noted_inputs",
        "request_id",
        "size",
        "traceparent",
    )

    def __init__(
        self,
        codec: Codec,
        message: Message,
        arrived: float,
        done: Callable[[Exchange], None],
        *,
        deadline: float = inf,
        request_id: bytes = b"",
        traceparent: bytes = b"",
        is_copied: bool = False,
    ) -> None:
        self.codec = codec
        self.message: Message | None = message
        self.size = len(message.body)
        self.arrived = arrived
        self.done = done
        self.deadline = deadline
        self.request_id = request_id
        self.traceparent = traceparent
        self.is_copied = is_copied
        self.noted_inputs: bytes | None = None
        self.cancelled = False
        self.finished = False
        self.answer: Answer | None = None
        self.error: TidegateError | None = None
