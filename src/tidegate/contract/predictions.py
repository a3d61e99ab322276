"""One prediction as those who answer hand it to those who keep it."""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """What was asked and answered; `at` is ISO 8601 in UTC, inputs and outputs are JSON objects, of columns by name."""

    at: str
    request_id: str
    deployment: str
    revision: int
    rows: int
    inputs: bytes
    outputs: bytes
