"""From requests' bytes to answers' bytes: decode, run the model, encode, on a thread of the pool.

Every protocol shares this one handler; a codec is all that tells them apart. Requests that wait together are answered
together, whatever protocol each of them speaks: a batch costs one hand-over to a thread, one run of the model and one
hand-over back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Columns, Model
from tidegate.server.batching import BatchPolicy, group_calls, join_inputs, split_outputs
from tidegate.server.cache.cache import BYPASS, HIT, Member, PredictionCache
from tidegate.server.exchange import Answer, Exchange
from tidegate.server.pool import WorkerPool
from tidegate.server.protocols.base import Call, Codec, DeadlineExceeded, Encoded, Message, ModelFailed
from tidegate.server.recording.watch import Watch
from tidegate.server.wording import one_line

_NOTHING = Encoded(b"")

HandOver = Callable[[list[Exchange]], None]


@dataclass(slots=True)
class _Batch:
    """What is known of a batch while it is computed: when it was taken, where outcomes go, and who is to be cached.

    Attributes:
        keys: of those for whom others may wait, as long as they do.
    """

    taken_at: float
    hand_over: HandOver
    cached: str | None = None
    cache: PredictionCache | None = None
    keys: dict[Exchange, bytes] = field(default_factory=dict)

    def who_wait_for(self, exchange: Exchange) -> list[Exchange]:
        """Return those who wait for a leader that failed."""
        if self.cache is None:
            return []
        return [waiting for waiting, _ in self.cache.give_up(self.keys.pop(exchange))]


class DataPlane:
    """Serves one loaded model. Constructed on the event loop, where its pool hands the answers over."""

    def __init__(
        self,
        model: Model,
        policy: BatchPolicy,
        *,
        threads: int,
        queue_limit: int,
        queue_bytes: int,
        cache: PredictionCache | None = None,
    ) -> None:
        self._cache = cache
        #: Gets every answer; None for none.
        self.watch: Watch | None = None
        self.pool = WorkerPool(self._serve, policy, threads, queue_limit, queue_bytes)
        self._model = model
        self._signature = model.signature
        self._most_rows = policy.rows

    def close(self) -> None:
        """End the threads after the requests that wait, and let go of the cache."""
        self.pool.close()
        if self._cache is not None:
            self._cache.close()
        if self.watch is not None:
            self.watch.close()

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

    def _serve(self, batch: Sequence[Exchange], hand_over: HandOver) -> None:
        now = perf_counter()
        members = self._decode(batch, now, hand_over)
        cache = self._cache
        if cache is None:
            self._compute(_Batch(now, hand_over), members)
        elif cache.is_off():
            cache.bypass(len(members))
            self._compute(_Batch(now, hand_over, cached=BYPASS), members)
        elif members:
            self._serve_cached(cache, now, members, hand_over)

    def _decode(self, batch: Sequence[Exchange], now: float, hand_over: HandOver) -> list[Member]:
        """Return the exchanges that are requests to this model; the others get their errors."""
        failed: list[Exchange] = []
        members: list[Member] = []
        for exchange in batch:
            message = exchange.message
            if message is None:  # cancelled
                continue
            try:
                if exchange.deadline >= now:
                    members.append((exchange, exchange.codec.decode(message)))
                    continue
                exchange.error = DeadlineExceeded("the request's time was over before it could be answered")
            except TidegateError as error:
                exchange.error = error
            except Exception as error:  # noqa: BLE001 -- a fault of a codec is not the others' of the batch
                exchange.error = ModelFailed(f"the request was not served: {one_line(error)}")
                exchange.error.__cause__ = error
            failed.append(exchange)
        if failed:
            hand_over(failed)
        return members

    def _serve_cached(self, cache: PredictionCache, now: float, members: Sequence[Member], hand_over: HandOver) -> None:
        lookup = cache.look_up(members)
        if lookup.hits:
            self._answer_from_cache([(exchange, call, outputs) for (exchange, call), outputs in lookup.hits], hand_over)
        keys = {exchange: key for (exchange, _), key in lookup.leaders}
        try:
            leaders = [member for member, _ in lookup.leaders]
            self._compute(_Batch(now, hand_over, lookup.outcome, cache, keys), leaders)
        except BaseException as error:
            for key in keys.values():
                _fail([exchange for exchange, _ in cache.give_up(key)], ModelFailed(one_line(error)), hand_over)
            raise

    def _compute(self, batch: _Batch, members: Sequence[Member]) -> None:
        if len(members) == 1:
            self._compute_group(batch, members)
            return
        for group in group_calls([call for _, call in members], self._signature, self._most_rows):
            self._compute_group(batch, [members[position] for position in group.positions])

    def _compute_group(self, batch: _Batch, members: Sequence[Member]) -> None:
        """Run the model once for these members and hand their outcomes over."""
        calls = [call for _, call in members]
        started = perf_counter()
        try:
            # A model may work in place. In company it does so on what was joined, not on what will be logged.
            keeps = len(members) == 1 and self.watch is not None and self.watch.keeps(*members[0])
            outputs = self._predict(calls, kept=keeps)
        except (InvalidInput, ModelFailed) as error:
            if len(members) == 1:
                exchange = members[0][0]
                _fail([exchange, *batch.who_wait_for(exchange)], error, batch.hand_over)
                return
            # One request may have spoiled the batch: each gets the answer that it would have got alone.
            for member in members:
                self._compute_group(batch, [member])
            return
        seconds = perf_counter() - started
        parts = [outputs] if len(calls) == 1 else split_outputs(outputs, calls)
        answered = [(exchange, call, part) for (exchange, call), part in zip(members, parts, strict=True)]
        for exchange, call, part in answered:
            waited = batch.taken_at - exchange.arrived
            _encode(exchange, call, part, Answer(_NOTHING, call.rows, waited, seconds, len(members), batch.cached))
        batch.hand_over([exchange for exchange, _ in members])
        if batch.cache is not None:
            waiting = batch.cache.keep([(batch.keys.pop(exchange), part) for exchange, _, part in answered], seconds)
            for group, (_, _, part) in zip(waiting, answered, strict=True):
                if group:
                    self._answer_from_cache([(exchange, call, part) for exchange, call in group], batch.hand_over)
        if self.watch is not None:
            self.watch.counted(outputs)
            self.watch.answered(answered)

    def _answer_from_cache(self, found: list[tuple[Exchange, Call, Columns]], hand_over: HandOver) -> None:
        now = perf_counter()
        for exchange, call, outputs in found:
            _encode(exchange, call, outputs, Answer(_NOTHING, call.rows, now - exchange.arrived, 0.0, 1, HIT))
        hand_over([exchange for exchange, _, _ in found])
        if self.watch is not None:
            for _, _, outputs in found:
                self.watch.counted(outputs)
            self.watch.answered(found)

    def _predict(self, calls: list[Call], *, kept: bool) -> Columns:
        """Return the outputs of the calls one after the other; see `join_inputs`. Raises ModelFailed."""
        rows = sum(call.rows for call in calls)
        try:
            outputs = self._model.predict(join_inputs(calls, kept=kept))
        except InvalidInput:
            raise
        except Exception as error:
            raise ModelFailed(f"the model failed: {one_line(error)}") from error
        for spec in self._signature.outputs:
            if spec.name not in outputs:
                raise ModelFailed(f"the model gave no output {spec.name!r}", subject=spec.name)
            if np.ndim(outputs[spec.name]) == 0 or len(outputs[spec.name]) != rows:
                raise ModelFailed(
                    f"the model gave {np.size(outputs[spec.name])} values of {spec.name!r} for {rows} rows",
                    subject=spec.name,
                )
        return outputs


def _encode(exchange: Exchange, call: Call, outputs: Columns, answer: Answer) -> None:
    """Set the exchange's outcome: the answer with the outputs in the form of its protocol, or the error of that."""
    try:
        answer.encoded = exchange.codec.encode(call, outputs)
    except Exception as error:  # noqa: BLE001 -- whatever a model gave, the others of its batch get their answers
        exchange.error = ModelFailed(f"the model's answer cannot be written down: {one_line(error)}")
        exchange.error.__cause__ = error
    else:
        exchange.answer = answer


def _fail(exchanges: list[Exchange], error: TidegateError, hand_over: HandOver) -> None:
    for exchange in exchanges:
        exchange.error = error
    hand_over(exchanges)
