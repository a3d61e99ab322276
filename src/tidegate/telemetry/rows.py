"""What a record of the prediction log is as a row of `telemetry.predictions`; pure."""

from __future__ import annotations

from typing import Any

import orjson

from tidegate.contract.predictions import Prediction

_NUL = b"\\u0000"
#: What stands for the character 0, which PostgreSQL's texts cannot hold.
_INSTEAD = "\ufffd"

#: The columns of the table, in the order of `Row`.
COLUMNS = ("at", "request_id", "deployment", "revision", "rows", "inputs", "outputs")


#: A row's values are a prediction's, but for the character 0.
Row = Prediction


def row_of_prediction(prediction: Prediction) -> Row:
    """Return the row of a prediction; a character 0 becomes U+FFFD."""
    if _NUL not in prediction.inputs and _NUL not in prediction.outputs and "\0" not in prediction.request_id:
        return prediction
    inputs, outputs = (
        orjson.dumps(_without_nul(orjson.loads(told))) for told in (prediction.inputs, prediction.outputs)
    )
    return prediction._replace(request_id=_without_nul(prediction.request_id), inputs=inputs, outputs=outputs)


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
