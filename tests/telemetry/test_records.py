"""What the log hands over in parts is what it writes into a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.conftest import IDENTITY
from tests.server.test_recording import exchange
from tidegate.runtime.base import Columns
from tidegate.server.protocols.base import Call
from tidegate.server.recording.log import PredictionLog
from tidegate.telemetry.rows import Row, row_of, row_of_prediction


class _Lines:
    def __init__(self) -> None:
        self.taken: list[Any] = []

    def write(self, records: Sequence[Any]) -> None:
        self.taken += records

    def close(self) -> None:
        pass


class _Parts(_Lines):
    def write(self, records: Sequence[Any]) -> None:
        raise AssertionError("parts were asked for")

    def write_predictions(self, predictions: Sequence[Any]) -> None:
        self.taken += predictions


def _read(row: Row) -> dict[str, Any]:
    return {**row._asdict(), "inputs": json.loads(row.inputs), "outputs": json.loads(row.outputs)}


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\0\\\t\"'\u2028"), max_size=20)


@settings(max_examples=50)
@given(
    st.binary(min_size=1, max_size=20),
    st.dictionaries(texts, st.tuples(texts, st.floats(), st.floats(width=32)), max_size=3),
)
def test_a_row_is_the_same_whether_made_of_parts_or_of_a_line(
    request_id: bytes, columns: dict[str, tuple[str, float, float]]
) -> None:
    inputs: Columns = {}
    for name, (text, wide, narrow) in columns.items():
        inputs |= {f"t{name}": np.array([text, None], dtype=object), f"w{name}": np.array([wide, 1.0])}
        inputs[f"n{name}"] = np.array([narrow, 1.0], np.float32)
    taken = []
    for sink in (_Lines(), _Parts()):
        log = PredictionLog(sink, IDENTITY, share=1.0)
        log.offer(exchange(request_id), Call(inputs, 2, ()), {"y": np.array([1, 2])})
        log.close()
        taken += sink.taken
    line, parts = taken
    whole, apart = _read(row_of(line)), _read(row_of_prediction(parts))
    assert {**apart, "at": whole["at"]} == whole
