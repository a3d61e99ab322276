"""Inputs that a model's file does not describe, as the user gives them: in the settings, or by a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Datatype, TensorSpec
from tidegate.runtime.tensor_documents import specs_from_documents

_SETTING = "modelArtifact.settings.inputs"
_FORM = '[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}, …], the first dimension for the rows'


def specs_from_settings(settings: Mapping[str, Any]) -> tuple[TensorSpec, ...] | None:
    """Return the inputs that the setting `inputs` describes, None when it is not there.

    Raises:
        InvalidInput: it is not a list of {name, datatype, shape}.
    """
    given = settings.get("inputs")
    return None if given is None else specs_from_documents(given, _SETTING)


def specs_from_sample(
    sample: Sequence[Mapping[str, Any]] | None, names: Sequence[str], floats: Datatype = "FP32"
) -> tuple[TensorSpec, ...]:
    """Return inputs that the rows of a sample fit: whole numbers are INT64, others `floats`, and text is BYTES.

    A dimension in which the rows differ is -1.

    Args:
        sample: JSON rows; the value of a tensor is a nested list without the dimension of the rows.
        names: the inputs that the model asks for.
        floats: the type of numbers written with a point or an exponent.

    Raises:
        InvalidInput: there is no sample, or it does not say what one of the inputs is.
    """
    if not sample:
        raise InvalidInput(
            f"The file says that the model takes {', '.join(names)}, and not of what type and shape.",
            expected=_FORM,
            hint="Give a few typical rows with --sample rows.json, one value per input in each row, a tensor as a "
            f"nested list; or describe the inputs in {_SETTING}.",
        )
    return tuple(_from_rows(name, [row.get(name) for row in sample], sample, floats) for name in names)


def _from_rows(name: str, values: list[Any], sample: Sequence[Mapping[str, Any]], floats: Datatype) -> TensorSpec:
    if any(value is None for value in values):
        raise InvalidInput(
            f"The sample has no value for the input {name!r} in row {values.index(None) + 1}.",
            subject=name,
            expected=f"a value for {name} in every row",
            got=", ".join(sorted({key for row in sample for key in row})[:20]),
        )
    shapes = [_shape(name, value) for value in values]
    if len({len(shape) for shape in shapes}) != 1:
        raise InvalidInput(f"The rows of the sample differ in how deep the lists of {name!r} are.", subject=name)
    sizes = [set(column) for column in zip(*shapes, strict=True)]
    shape = tuple(next(iter(size)) if len(size) == 1 else -1 for size in sizes)
    return TensorSpec(name, _datatype(name, values, floats), (-1, *shape))


def _shape(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    inner = {_shape(name, item) for item in value}
    if len(inner) != 1:
        raise InvalidInput(
            f"The sample's value for {name!r} is no tensor: its lists are empty or differ in length.", subject=name
        )
    return (len(value), *inner.pop())


def _datatype(name: str, values: list[Any], floats: Datatype) -> Datatype:
    kinds = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        else:
            kinds.add(type(value))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    if kinds <= {int, float}:
        return floats
    if kinds == {str}:
        return "BYTES"
    raise InvalidInput(
        f"The sample's values for {name!r} are of several types.",
        subject=name,
        expected="numbers, true and false, or text",
        got=", ".join(sorted(kind.__name__ for kind in kinds)),
    )
