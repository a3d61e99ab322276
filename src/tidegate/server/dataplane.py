"""From a request's bytes to an answer's bytes: decode, run the model, encode, on a thread of the pool.

Every protocol shares this one handler; a codec is all that tells them apart. The whole of a request's work is one job,
so that a request costs one hand-over to a thread and one back, however large its body is.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

from tidegate.contract.errors import TidegateError
from tidegate.runtime.base import Columns, Model
from tidegate.server.pool import WorkerPool
from tidegate.server.protocols.base import Call, Codec, ModelFailed

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer and where its time went."""

    body: bytes
    rows: int
    queue_seconds: float
    model_seconds: float


class DataPlane:
    """Serves one loaded model."""

    def __init__(self, model: Model, pool: WorkerPool) -> None:
        self._model = model
        self._pool = pool

    async def answer(self, codec: Codec, body: bytes) -> Answer:
        """Answer one request.

        Raises:
            InvalidInput: the body is not a request that fits the signature.
            ModelFailed: the model raised, or answered against its signature.
            Overloaded: the queue is full.
        """
        done = await self._pool.run(lambda: self._serve(codec, body))
        encoded, rows, model_seconds = done.value
        return Answer(encoded, rows, done.waited_seconds, model_seconds)

    def _serve(self, codec: Codec, body: bytes) -> tuple[bytes, int, float]:
        call = codec.decode(body)
        started = perf_counter()
        outputs = self._predict(call)
        model_seconds = perf_counter() - started
        try:
            encoded = codec.encode(call, outputs)
        except (TypeError, ValueError) as error:
            raise ModelFailed(f"the model's answer cannot be written down: {one_line(error)}") from error
        return encoded, call.rows, model_seconds

    def _predict(self, call: Call) -> Columns:
        try:
            outputs = self._model.predict(call.inputs)
        except Exception as error:
            raise ModelFailed(f"the model failed: {one_line(error)}") from error
        for spec in call.outputs:
            if spec.name not in outputs:
                raise ModelFailed(f"the model gave no output {spec.name!r}", subject=spec.name)
            if len(outputs[spec.name]) != call.rows:
                raise ModelFailed(
                    f"the model gave {len(outputs[spec.name])} values of {spec.name!r} for {call.rows} rows",
                    subject=spec.name,
                )
        return outputs


def one_line(error: BaseException) -> str:
    """Return an exception as one short line: its class and the first line of its text."""
    if isinstance(error, TidegateError):
        return error.message
    text = str(error).strip().partition("\n")[0].strip()
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"
