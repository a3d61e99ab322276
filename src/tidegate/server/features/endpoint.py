"""The endpoint of `/predict` where rows are completed: what names entities makes a detour on its way to the model."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.contract.errors import TidegateError
from tidegate.server.endpoint import Head, InferenceEndpoint
from tidegate.server.exchange import Exchange
from tidegate.server.features.completer import Completer
from tidegate.server.protocols.base import Codec, NotReady
from tidegate.server.replica import Phase, Replica


class CompletingEndpoint(InferenceEndpoint):
    """Answers requests with whole rows as its base does, and others once they are whole."""

    def __init__(self, replica: Replica, codec: Codec, completer: Completer) -> None:
        super().__init__(replica, codec)
        self._completer = completer
        #: Those that are being completed: nobody else knows of them yet.
        self._incomplete: set[Exchange] = set()

    def submit(self, head: Head, body: bytes, done: Callable[[Exchange], None]) -> Exchange:
        exchange = self.exchange(head, body, done)
        message = exchange.message
        if message is None or head.content_encoding or not self._completer.wants(message):
            self._replica.submit(exchange)
            return exchange
        if self._replica.phase is Phase.LOADING:
            raise NotReady("the model is still being loaded")
        self._completer.complete(body, lambda outcome: self._go_on(exchange, outcome))
        self._incomplete.add(exchange)
        return exchange

    def cancel(self, exchange: Exchange) -> None:
        if exchange not in self._incomplete:
            super().cancel(exchange)
            return
        self._incomplete.discard(exchange)
        exchange.cancelled = True
        exchange.message = None

    def _go_on(self, exchange: Exchange, outcome: bytes | TidegateError) -> None:
        """Let the model have the request that is whole now, or answer why it is not."""
        if exchange not in self._incomplete:
            return
        self._incomplete.discard(exchange)
        message = exchange.message
        if isinstance(outcome, bytes) and message is not None:
            exchange.message = message._replace(body=outcome)
            exchange.size = len(outcome)
            try:
                self._replica.submit(exchange)
            except TidegateError as error:
                exchange.error = error
            else:
                return
        elif isinstance(outcome, TidegateError):
            exchange.error = outcome
        exchange.finished = True
        exchange.done(exchange)
