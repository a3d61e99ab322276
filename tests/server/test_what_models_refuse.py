"""A request that the model itself refuses is the client's affair, and nobody's who was answered together with it."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

import numpy as np
import orjson
import pytest

from tests.server.conftest import IDENTITY, LIMITS
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Columns, Signature, TensorSpec
from tidegate.server.batching import BatchPolicy
from tidegate.server.dataplane import DataPlane
from tidegate.server.exchange import Exchange
from tidegate.server.protocols.base import Message, ModelFailed
from tidegate.server.protocols.oip import OipCodec
from tidegate.server.protocols.records import RecordsCodec
from tidegate.server.statuses import status_of


class PositiveOnly:
    """Takes roots, and no negative number; as a program made for batches of `rows`, when that is given."""

    def __init__(self, rows: int = -1) -> None:
        self.signature = Signature(
            "tensors", (TensorSpec("x", "FP64", (rows, 1)),), (TensorSpec("y", "FP64", (rows, 1)),)
        )
        self.asked: list[int] = []

    def predict(self, inputs: Columns) -> Columns:
        self.asked.append(len(inputs["x"]))
        if len(inputs["x"]) % max(self.signature.inputs[0].shape[0], 1):
            raise InvalidInput("The model was exported for batches.", subject="x", hint="Export it anew.")
        if (inputs["x"] < 0).any():
            raise InvalidInput("The inputs do not fit the model.", subject="x")
        return {"y": np.sqrt(inputs["x"])}

    def close(self) -> None:
        """Hold nothing."""


def served(model: PositiveOnly, bodies: list[bytes], codec: Any) -> list[Exchange]:
    """Have all of the bodies answered; the first is taken alone, the others wait and are taken together."""

    async def story() -> list[Exchange]:
        plane = DataPlane(model, BatchPolicy(10.0), threads=1, queue_limit=100, queue_bytes=10**9)
        try:
            plane.pool.cost.largest = 100
            futures: list[asyncio.Future[Exchange]] = []
            for body in bodies:
                future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
                plane.pool.submit(Exchange(codec, Message(body), perf_counter(), future.set_result))
                futures.append(future)
            return list(await asyncio.gather(*futures))
        finally:
            plane.close()

    return asyncio.run(story())


def body(*values: float) -> bytes:
    return orjson.dumps({"records": [{"x": [value]} for value in values]})


def test_what_the_model_refuses_is_a_bad_request_with_the_models_own_words() -> None:
    model = PositiveOnly()
    (exchange,) = served(model, [body(-1.0)], RecordsCodec(model.signature, IDENTITY, LIMITS))
    assert isinstance(exchange.error, InvalidInput)
    assert not isinstance(exchange.error, ModelFailed)
    assert (status_of(exchange.error), exchange.error.subject) == (400, "x")


def test_one_refused_request_fails_nobody_else_of_its_batch() -> None:
    model = PositiveOnly()
    bodies = [body(value) for value in (1.0, 4.0, -1.0, 9.0, 16.0, -4.0)] * 3
    exchanges = served(model, bodies, RecordsCodec(model.signature, IDENTITY, LIMITS))
    assert max(model.asked) > 1, "some were answered together"
    for exchange, asked in zip(exchanges, [1.0, 4.0, -1.0, 9.0, 16.0, -4.0] * 3, strict=True):
        if asked < 0:
            assert isinstance(exchange.error, InvalidInput)
        else:
            assert exchange.answer is not None
            assert orjson.loads(exchange.answer.encoded.body)["predictions"] == [{"y": [asked**0.5]}]


@pytest.mark.parametrize(("rows", "status"), [(4, 200), (8, 200), (3, 400), (5, 400)])
@pytest.mark.parametrize("protocol", ["predict", "infer"])
def test_a_fixed_batch_takes_multiples_of_it_in_every_protocol(rows: int, status: int, protocol: str) -> None:
    model = PositiveOnly(rows=4)
    codec: Any = (RecordsCodec if protocol == "predict" else OipCodec)(model.signature, IDENTITY, LIMITS)
    values = [[float(row)] for row in range(rows)]
    tensor = {"name": "x", "shape": [rows, 1], "datatype": "FP64", "data": values}
    sent = body(*(row[0] for row in values)) if protocol == "predict" else orjson.dumps({"inputs": [tensor]})
    (exchange,) = served(model, [sent], codec)
    if status == 200:
        assert exchange.answer is not None, exchange.error
        assert exchange.answer.rows == rows
    else:
        assert exchange.error is not None
        assert status_of(exchange.error) == status
