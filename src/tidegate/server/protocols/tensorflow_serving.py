"""TensorFlow Serving's REST API: `:predict`, `:classify` and `:regress`.

Source: github.com/tensorflow/serving, g3doc/api_rest.md, and for what it leaves open util/json_tensor.cc, which writes
the answers (`results` is the key of classify and regress there and in the page's examples). What is decided here:

- rows (`instances`) are bare values where the model has one input, else objects by the inputs' names; columns
  (`inputs`) are one bare list or an object of lists, all of one length;
- a value of a column may stand in a list of one: TensorFlow's models take `[-1, 1]` where models here take columns;
- inputs that the model does not take are ignored, so that two revisions may differ in them;
- `null` and the literal `NaN` both say that a value is missing; infinity is refused;
- text may come as `{"b64": …}`, which must hold UTF-8: models here take text, not bytes; an output whose name ends in
  `_bytes` is answered in that form;
- an answer has `null` where the model gave NaN or infinity: their literals are not JSON, and most parsers refuse them;
- a model has one signature, `serving_default`; a classifier also answers to `classify`, a regressor to `regress`;
- the labels of a classifier are those of its output with one position per class.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from math import isfinite, nan
from typing import Any

import numpy as np
import orjson

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.runtime.base import Array, Columns, Signature, TensorSpec
from tidegate.server.protocols.base import Call, Encoded, Identity, Limits, Message, TooLarge
from tidegate.server.protocols.row_texts import json_rows
from tidegate.server.protocols.rows import RowReader, parse_json
from tidegate.server.protocols.values import family, json_ready, shorten

#: Name of a model's one signature.
DEFAULT_SIGNATURE = "serving_default"

_PREDICT_FORMS = '{"instances": [a value or an object per row, …]} or {"inputs": a list, or an object of lists}'
_EXAMPLE_FORMS = '{"examples": [{"input": value, …}, …]} with an optional "context": {"input": value, …}'
_METHOD_PREFIX = "tensorflow/serving/"
_DEEPEST = 64


class _Api:
    """What the three calls share."""

    #: Last part of the path, and a name that a signature may have.
    method: str
    protocol = "tensorflow_serving"

    def __init__(self, signature: Signature, limits: Limits, forms: str) -> None:
        self._inputs = signature.inputs
        self._outputs = signature.outputs
        self._forms = forms
        self._rows = RowReader(signature, limits, forms)
        self._takes_text = any(spec.datatype == "BYTES" for spec in signature.inputs)
        self._columns = frozenset(spec.name for spec in signature.inputs if len(spec.shape) == 1)

    def encode_error(self, error: TidegateError) -> bytes:
        return orjson.dumps({"error": error.message})

    def _document(self, body: bytes) -> dict[str, Any]:
        """Return the request with its base64 decoded and its signature's name checked."""
        document: Any = _parse(body)
        if not isinstance(document, dict):
            raise InvalidInput(f"the body must be {self._forms}", expected=self._forms, got=shorten(document))
        if self._takes_text and b"b64" in body:
            document = _without_base64(document)
        named: dict[str, Any] = document
        name = named.get("signature_name", "")
        known = ("", DEFAULT_SIGNATURE, self.method, _METHOD_PREFIX + self.method)
        if name not in known:
            raise InvalidInput(
                f"signature_name: there is no signature {shorten(name)}; this model has {DEFAULT_SIGNATURE!r}",
                subject="signature_name",
                expected=DEFAULT_SIGNATURE,
                got=shorten(name),
            )
        return named

    def _bare(self, features: dict[str, Any]) -> dict[str, Any]:
        """Return the features of columns without the list of one that may stand around a value."""
        return {name: _only(value) if name in self._columns else value for name, value in features.items()}


class PredictApi(_Api):
    """Codec of `:predict`."""

    method = "predict"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        super().__init__(signature, limits, _PREDICT_FORMS)

    def decode(self, message: Message) -> Call:
        document = self._document(message.body)
        has_instances, has_inputs = "instances" in document, "inputs" in document
        if has_instances == has_inputs:
            which = "both of them" if has_instances else "neither"
            raise InvalidInput(
                f'a request has either "instances" or "inputs", this one has {which}', expected=_PREDICT_FORMS
            )
        if has_instances:
            inputs, rows = self._from_instances(document["instances"])
        else:
            inputs, rows = self._from_inputs(document["inputs"])
        return Call(inputs=inputs, rows=rows, outputs=self._outputs, form=has_instances)

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        in_rows: bool = call.form
        key = "predictions" if in_rows else "outputs"
        if len(call.outputs) == 1:
            answer = _plain(call.outputs[0], outputs[call.outputs[0].name])
        elif in_rows:
            answer = self._objects(call, outputs)
        else:
            answer = {spec.name: _plain(spec, outputs[spec.name]) for spec in call.outputs}
        return Encoded(orjson.dumps({key: answer}, option=orjson.OPT_SERIALIZE_NUMPY))

    def _objects(self, call: Call, outputs: Columns) -> Any:
        """Return an object for each row, as orjson writes it."""
        if not any(spec.name.endswith("_bytes") for spec in call.outputs):
            bare = [(TensorSpec(spec.name, spec.datatype, spec.shape), outputs[spec.name]) for spec in call.outputs]
            return orjson.Fragment(json_rows(bare))
        names = [spec.name for spec in call.outputs]
        values = [_rows_of(spec, outputs[spec.name]) for spec in call.outputs]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def _from_instances(self, instances: Any) -> tuple[Columns, int]:
        if not isinstance(instances, list):
            raise InvalidInput(
                f'"instances" must be a list, got {shorten(instances)}', subject="instances", expected="a list"
            )
        try:
            return self._rows.from_records(instances)
        except TooLarge:
            raise
        except InvalidInput:
            bare = [self._bare_row(row) for row in instances]
            if bare == instances:
                raise
        return self._rows.from_records(bare)

    def _bare_row(self, row: Any) -> Any:
        if isinstance(row, dict):
            return self._bare(row)
        return _only(row) if len(self._inputs) == len(self._columns) == 1 else row

    def _from_inputs(self, inputs: Any) -> tuple[Columns, int]:
        if isinstance(inputs, dict):
            return self._from_columns(inputs)
        if len(self._inputs) > 1:
            raise InvalidInput(
                f'"inputs" must be an object, because the model has {len(self._inputs)} inputs',
                subject="inputs",
                expected="an object with a list per input",
                got=shorten(inputs),
            )
        return self._from_columns({self._inputs[0].name: inputs})

    def _from_columns(self, columns: dict[str, Any]) -> tuple[Columns, int]:
        try:
            return self._rows.from_columns(columns)
        except TooLarge:
            raise
        except InvalidInput:
            bare = {
                name: [_only(value) for value in values]
                if name in self._columns and isinstance(values, list)
                else values
                for name, values in columns.items()
            }
            if bare == columns:
                raise
        return self._rows.from_columns(bare)


class _ExamplesApi(_Api, ABC):
    """What classify and regress share: requests of examples, answers about one output."""

    def __init__(self, signature: Signature, limits: Limits, answer: TensorSpec | None) -> None:
        super().__init__(signature, limits, _EXAMPLE_FORMS)
        self._answer = answer

    def decode(self, message: Message) -> Call:
        if self._answer is None:
            raise InvalidInput(self._unable(), hint="use :predict")
        document = self._document(message.body)
        context, examples = document.get("context", {}), document.get("examples")
        if not isinstance(context, dict):
            raise InvalidInput(f'"context" must be an object, got {shorten(context)}', subject="context")
        if not isinstance(examples, list):
            raise InvalidInput(
                f'"examples" must be a list, got {shorten(examples)}', subject="examples", expected=_EXAMPLE_FORMS
            )
        self._rows.counted(len(examples))
        context = self._bare({name: value for name, value in context.items() if name in self._rows.names})
        merged = [self._merged(row, example, context) for row, example in enumerate(examples)]
        inputs, rows = self._rows.from_records(merged)
        return Call(inputs=inputs, rows=rows, outputs=(self._answer,))

    @abstractmethod
    def _unable(self) -> str:
        """Return why this model cannot answer such a request, for a message."""

    def _merged(self, row: int, example: Any, context: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(example, dict):
            raise InvalidInput(
                f"examples[{row}] must be an object, got {shorten(example)}",
                subject=f"examples[{row}]",
                expected=_EXAMPLE_FORMS,
            )
        if not context.keys().isdisjoint(example):
            twice = next(name for name in context if name in example)
            raise InvalidInput(
                f"examples[{row}]: {twice!r} stands in the context too", subject=f"examples[{row}].{twice}"
            )
        return {**context, **self._bare(example)}


class ClassifyApi(_ExamplesApi):
    """Codec of `:classify`: for each example every class with its score, in the order of the model's classes."""

    method = "classify"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        super().__init__(signature, limits, scores_of(signature))

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        (spec,) = call.outputs
        labels = spec.labels or ()
        scores = _rows_of(TensorSpec(spec.name, spec.datatype, spec.shape), outputs[spec.name])
        results = [list(zip(labels, row, strict=True)) for row in scores]
        return Encoded(orjson.dumps({"results": results}, option=orjson.OPT_SERIALIZE_NUMPY))

    def _unable(self) -> str:
        return "this model cannot classify: it has no output with one score per class"


class RegressApi(_ExamplesApi):
    """Codec of `:regress`: one number for each example."""

    method = "regress"

    def __init__(self, signature: Signature, identity: Identity, limits: Limits) -> None:
        super().__init__(signature, limits, value_of(signature))

    def encode(self, call: Call, outputs: Columns) -> Encoded:
        (spec,) = call.outputs
        results = _plain(spec, outputs[spec.name].reshape(-1))
        return Encoded(orjson.dumps({"results": results}, option=orjson.OPT_SERIALIZE_NUMPY))

    def _unable(self) -> str:
        return "this model gives no regression: it has no output of one number, or it is a classifier"


def scores_of(signature: Signature) -> TensorSpec | None:
    """Return the output with a classifier's scores, None when there is none."""
    found = (
        spec
        for spec in signature.outputs
        if spec.labels is not None and len(spec.shape) == 2 and family(spec.datatype) == "FLOAT"
    )
    return next(found, None)


def value_of(signature: Signature) -> TensorSpec | None:
    """Return the output with a regressor's number, None when there is none or the model is a classifier."""
    if any(spec.labels is not None for spec in signature.outputs):
        return None
    found = (spec for spec in signature.outputs if spec.shape in ((-1,), (-1, 1)) and family(spec.datatype) == "FLOAT")
    return next(found, None)


def _only(value: Any) -> Any:
    """Return what stands in a list of one, anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _plain(spec: TensorSpec, array: Array) -> Any:
    """Return a whole output as orjson writes it."""
    return _in_base64(array.tolist()) if spec.name.endswith("_bytes") else json_ready(array)


def _rows_of(spec: TensorSpec, array: Array) -> list[Any]:
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        # As Python floats, FP32 values would show digits that they do not have.
        return list(np.ascontiguousarray(array))
    values: list[Any] = array.tolist()
    return _in_base64(values) if spec.name.endswith("_bytes") else values


def _in_base64(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_base64(item) for item in value]
    return {"b64": b64encode(value.encode()).decode()} if isinstance(value, str) else value


def _parse(body: bytes) -> Any:
    """Return the parsed body, with NaN where it has that literal, as Python's own JSON module writes it."""
    try:
        return parse_json(body)
    except InvalidInput:
        if b"NaN" not in body:
            raise
        try:
            document = json.loads(body.decode(), parse_constant=_constant, parse_float=_finite)
            if b"\\u" in body:
                _check_text(document)
        except (ValueError, RecursionError):
            pass
        else:
            return document
        raise


def _constant(name: str) -> float:
    if name != "NaN":
        raise ValueError(name)
    return nan


def _check_text(document: Any) -> None:
    """Raise InvalidInput for half of a surrogate pair, which Python's module takes and which no answer could hold."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput(
            "the body is not JSON: a text holds half of a surrogate pair",
            expected="both halves of the pair, or the character itself in UTF-8",
        ) from None


def _finite(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError(digits)
    return value


def _without_base64(value: Any, depth: int = 0) -> Any:
    """Return a document with the text that base64 stands for in its place."""
    if depth > _DEEPEST:
        raise InvalidInput(f"the body is nested more than {_DEEPEST} levels deep")
    if isinstance(value, list):
        return [_without_base64(item, depth + 1) if isinstance(item, list | dict) else item for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"b64"} and isinstance(value["b64"], str):
        return _text_of(value["b64"])
    return {
        key: _without_base64(item, depth + 1) if isinstance(item, list | dict) else item for key, item in value.items()
    }


def _text_of(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            "a base64 value holds bytes that are not UTF-8; this model takes text", subject="b64", expected="UTF-8"
        ) from None
    except ValueError as error:
        raise InvalidInput(f"a value is not base64: {error}", subject="b64", got=shorten(encoded)) from None
