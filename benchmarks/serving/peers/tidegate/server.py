"""Tidegate's server with one path more: `/empty` reads a request as all others are read and answers without a model.

What it manages is the ceiling of the server: HTTP, sockets, metrics and headers, without decoding, model and encoding.
The route is the benchmark's own; it is no option of the server, because nobody who serves a model wants it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter

from tidegate.runtime.frameworks import limit_threads

#: As long as the answer to a single row in JSON.
_ANSWER = b'{"predictions":[{"prediction":12.345678}],"model":"bench","revision":1}'
PATH = "/empty"


def main() -> int:
    limit_threads(1)
    from tidegate.server import app, listener, logs, process
    from tidegate.server.endpoint import Head, InferenceEndpoint
    from tidegate.server.exchange import Answer, Exchange
    from tidegate.server.protocols.base import Encoded, Message
    from tidegate.server.replica import Replica
    from tidegate.server.settings import parse_arguments

    class EmptyEndpoint(InferenceEndpoint):
        def submit(self, head: Head, body: bytes, done: Callable[[Exchange], None]) -> Exchange:
            message = Message(body, head.content_type, head.accept, head.json_length)
            exchange = Exchange(self._codec, message, perf_counter(), done, request_id=head.request_id)
            exchange.answer = Answer(Encoded(_ANSWER), 1, 0.0, 0.0)
            done(exchange)
            return exchange

    def endpoints(replica: Replica) -> dict[bytes, InferenceEndpoint]:
        found = app.hot_endpoints(replica)
        predict = found[b"/predict"]
        return {**found, PATH.encode(): EmptyEndpoint(replica, predict._codec)}

    listener.hot_endpoints = endpoints  # type: ignore[attr-defined]
    logs.configure()
    return process.run(parse_arguments())


if __name__ == "__main__":
    sys.exit(main())
