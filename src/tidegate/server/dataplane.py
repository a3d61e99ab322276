"""From requests' bytes to answers' bytes: decode, run the model, encode, on a thread of the pool.

Every protocol shares this one handler; a codec is all that tells them apart. Requests that wait together are answered
together, whatever protocol each of them speaks: a batch costs one hand-over to a thread, one run of the model and one
hand-over back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter

from tidegate.contract.errors import TidegateError
from tidegate.runtime.base import Columns, Model
from tidegate.server.batching import BatchPolicy, group_calls, join_inputs, split_outputs
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.pool import WorkerPool
from tidegate.server.protocols.base import Call, Codec, DeadlineExceeded, Message, ModelFailed

_LONGEST_REASON = 300


class DataPlane:
    """Serves one loaded model. Constructed on the event loop, where its pool hands the answers over."""

    def __init__(self, model: Model, policy: BatchPolicy, threads: int, queue_limit: int, queue_bytes: int) -> None:
        self.pool = WorkerPool(self._serve, policy, threads, queue_limit, queue_bytes)
        self._model = model
        self._signature = model.signature
        self._most_rows = policy.rows

    async def answer(self, codec: Codec, message: Message) -> Answer:
        """Answer one request and wait for it; who is in a hurry hands an `Exchange` to the pool instead.

        Raises:
            InvalidInput: the message is not a request that fits the signature.
            ModelFailed: the model raised, or answered against its signature.
            Overloaded: the queue is full.
        """
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()

        def done(exchange: Exchange) -> None:
            if not future.done():
                future.set_result(exchange)

        exchange = Exchange(codec, message, perf_counter(), done)
        self.pool.submit(exchange)
        try:
            await future
        except asyncio.CancelledError:
            self.pool.cancel(exchange)
            raise
        if exchange.answer is None:
            raise exchange.error or ModelFailed("the request has no answer")
        return exchange.answer

    def _serve(self, batch: Sequence[Exchange], hand_over: Callable[[list[Exchange]], None]) -> None:
        now = perf_counter()
        failed: list[Exchange] = []
        decoded: list[tuple[Exchange, Call]] = []
        for exchange in batch:
            message = exchange.message
            if message is None:  # cancelled
                continue
            try:
                if exchange.deadline < now:
                    raise DeadlineExceeded("the request's time was over before it could be answered")
                decoded.append((exchange, exchange.codec.decode(message)))
            except TidegateError as error:
                exchange.error = error
                failed.append(exchange)
        if failed:
            hand_over(failed)
        if len(decoded) == 1:
            hand_over(self._answer(decoded, now))
            return
        for group in group_calls([call for _, call in decoded], self._signature, self._most_rows):
            hand_over(self._answer([decoded[position] for position in group.positions], now))

    def _answer(self, members: list[tuple[Exchange, Call]], taken_at: float) -> list[Exchange]:
        """Run the model once for these members, set the outcome of each, and return them."""
        calls = [call for _, call in members]
        started = perf_counter()
        try:
            outputs = self._predict(calls)
        except ModelFailed as error:
            if len(members) == 1:
                members[0][0].error = error
                return [members[0][0]]
            # One request may have spoiled the batch: each gets the answer that it would have got alone.
            return [exchange for member in members for exchange in self._answer([member], taken_at)]
        model_seconds = perf_counter() - started
        for (exchange, call), part in zip(members, outputs, strict=True):
            try:
                encoded = exchange.codec.encode(call, part)
            except (TypeError, ValueError) as error:
                exchange.error = ModelFailed(f"the model's answer cannot be written down: {one_line(error)}")
                exchange.error.__cause__ = error
                continue
            exchange.answer = Answer(encoded, call.rows, taken_at - exchange.arrived, model_seconds, len(members))
        return [exchange for exchange, _ in members]

    def _predict(self, calls: list[Call]) -> Sequence[Columns]:
        """Return the outputs of each call. Raises ModelFailed."""
        rows = sum(call.rows for call in calls)
        try:
            outputs = self._model.predict(join_inputs(calls))
        except Exception as error:
            raise ModelFailed(f"the model failed: {one_line(error)}") from error
        for spec in self._signature.outputs:
            if spec.name not in outputs:
                raise ModelFailed(f"the model gave no output {spec.name!r}", subject=spec.name)
            if len(outputs[spec.name]) != rows:
                raise ModelFailed(
                    f"the model gave {len(outputs[spec.name])} values of {spec.name!r} for {rows} rows",
                    subject=spec.name,
                )
        return [outputs] if len(calls) == 1 else split_outputs(outputs, calls)


def one_line(error: BaseException) -> str:
    """Return an exception as one short line: its class and the first line of its text."""
    if isinstance(error, TidegateError):
        return error.message
    text = str(error).strip().partition("\n")[0].strip()
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
