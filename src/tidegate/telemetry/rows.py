"""What a record of the prediction log is as a row of `telemetry.predictions`; pure."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

_NUL = b"\\u0000"
#: What stands for the character 0, which PostgreSQL's texts cannot hold.
_INSTEAD = "\ufffd"

#: The columns of the table, in the order of `Row`.
COLUMNS = ("at", "request_id", "deployment", "revision", "rows", "inputs", "outputs")


class Row(NamedTuple):
    """One prediction; `at` is ISO 8601 in UTC, `inputs` and `outputs` are JSON objects as text, of columns by name."""

    at: str
    request_id: str
    deployment: str
    revision: int
    rows: int
    inputs: bytes
    outputs: bytes


def row_of(record: bytes) -> Row:
    """Return the row of a record; a character 0 becomes U+FFFD.

    Raises:
        ValueError: it is no such record.
    """
    document = orjson.loads(record)
    if _NUL in record:
        document = _without_nul(document)
    try:
        return Row(
            at=str(document["at"]),
            request_id=str(document["request_id"]),
            deployment=str(document["deployment"]),
            revision=int(document["revision"]),
            rows=int(document["rows"]),
            inputs=orjson.dumps(document["inputs"]),
            outputs=orjson.dumps(document["outputs"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no record of a prediction: {error!r}") from error


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", _INSTEAD)
    if isinstance(value, list):
        return [_without_nul(one) for one in value]
    if isinstance(value, dict):
        return {_without_nul(name): _without_nul(one) for name, one in value.items()}
    return value
