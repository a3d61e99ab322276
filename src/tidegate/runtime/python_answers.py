"""What a Python class answers, in whatever form people write it, to one typed array per output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import TidegateError
from tidegate.runtime.base import NUMPY_DTYPES, Array, Datatype, TensorSpec

#: The name of an answer that is a bare array, unless exactly one output was declared.
BARE_NAME = "prediction"

_DATATYPES: dict[str, Datatype] = {str(dtype): name for name, dtype in NUMPY_DTYPES.items()}  # type: ignore[misc]


class CodeFailed(TidegateError):  # noqa: N818 (the names of errors are words that users read)
    """The user's code raised, or answered with what cannot be served."""


def outputs_from_answer(answer: Any, rows: int, specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Return the outputs that `specs` name, in their order and with their datatypes.

    Args:
        answer: an object from name to values, a DataFrame or Series, a list of records, or one array or list.
        rows: how many rows were asked; each output must have as many values. What is not in `specs` is left out.

    Raises:
        CodeFailed: an output is missing, has another length, shape or type.
    """
    columns = _columns(answer, specs[0].name if len(specs) == 1 else BARE_NAME)
    outputs = {}
    for spec in specs:
        if spec.name not in columns:
            raise CodeFailed(
                f"predict gave no output {spec.name!r}.",
                subject=spec.name,
                expected=", ".join(spec.name for spec in specs),
                got=", ".join(columns) or "nothing",
            )
        outputs[spec.name] = _fitted(spec, _array(spec.name, columns[spec.name], rows))
    return outputs


def specs_from_answer(answer: Any, rows: int) -> tuple[TensorSpec, ...]:
    """Return what an answer says of the outputs of the class that gave it.

    Raises:
        CodeFailed: it holds nothing, or a value has another length than `rows` or a type that cannot be served.
    """
    columns = _columns(answer, BARE_NAME)
    if not columns:
        raise CodeFailed("predict gave no outputs.", got=_shown(answer))
    return tuple(_spec_of(name, _array(name, values, rows)) for name, values in columns.items())


def _columns(answer: Any, bare_name: str) -> dict[str, Any]:
    if answer is None:
        raise CodeFailed("predict gave None.", expected="an answer", hint="Perhaps it has no return statement.")
    if isinstance(answer, Mapping):
        return {str(name): values for name, values in answer.items()}
    if hasattr(answer, "columns") and hasattr(answer, "iloc"):
        return {str(name): answer[name] for name in answer.columns}
    if isinstance(answer, (list, tuple)) and answer and all(isinstance(row, Mapping) for row in answer):
        names = dict.fromkeys(str(name) for row in answer for name in row)
        return {name: [row.get(name) for row in answer] for name in names}
    return {bare_name: answer}


def _array(name: str, values: Any, rows: int) -> Array:
    try:
        array = _raw_array(values)
    except (ValueError, TypeError) as error:
        raise CodeFailed(f"The output {name!r} is no array: {error}.", subject=name, got=_shown(values)) from error
    if array.ndim == 0 or len(array) != rows:
        raise CodeFailed(
            f"predict gave {'one value' if array.ndim == 0 else f'{len(array)} values'} of {name!r} for {rows} rows.",
            subject=name,
            expected=f"one value for each of the {rows} rows",
            got=f"an array of shape {list(array.shape)}",
            hint="predict is asked for several rows at once and answers for each, in their order.",
        )
    return _plain(name, array)


def _raw_array(values: Any) -> Array:
    dtype = getattr(values, "dtype", None)
    if dtype is not None and not isinstance(dtype, np.dtype) and hasattr(values, "isna"):
        # pandas' own types: what is missing is marked in a way that NumPy does not know.
        array = np.array(values.astype(object), dtype=object)
        array[np.asarray(values.isna())] = None
        return array
    array = np.asarray(values)
    # NumPy writes numbers among texts as texts; as objects they are seen for what they are.
    return np.asarray(values, dtype=object) if array.dtype.kind == "U" and isinstance(values, (list, tuple)) else array


def _plain(name: str, array: Array) -> Array:
    """Return the array as one that a datatype stands for: numbers, or objects that are `str` or None."""
    kind = array.dtype.kind
    if kind == "U":
        return array.astype(object)
    if kind == "S":
        return np.array([value.decode(errors="replace") for value in array.ravel()], dtype=object).reshape(array.shape)
    if kind == "O":
        return _from_objects(name, array)
    if str(array.dtype) in _DATATYPES:
        return array
    raise CodeFailed(
        f"The output {name!r} is of a type that cannot be served.",
        subject=name,
        expected="numbers, true and false, or text",
        got=str(array.dtype),
        hint="Turn dates into text with isoformat()." if kind in "mM" else None,
    )


def _from_objects(name: str, array: Array) -> Array:
    values = [None if _is_missing(value) else value for value in array.ravel().tolist()]
    present = [value for value in values if value is not None]
    if all(isinstance(value, str) for value in present):
        plain = np.empty(len(values), dtype=object)
        plain[:] = values
    elif all(isinstance(value, (bool, int, float)) for value in present):
        has_gaps = len(present) < len(values)
        plain = np.array([np.nan if value is None else value for value in values]) if has_gaps else np.array(present)
        if plain.dtype.kind == "O":
            raise CodeFailed(f"The output {name!r} holds numbers that are too large.", subject=name)
    else:
        kinds = sorted({type(value).__name__ for value in present})
        raise CodeFailed(
            f"The output {name!r} holds what cannot be served.",
            subject=name,
            expected="only numbers, only true and false, or only text",
            got=", ".join(kinds[:10]),
        )
    return plain.reshape(array.shape)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)  # noqa: PLR0124 (NaN)


def _spec_of(name: str, array: Array) -> TensorSpec:
    return TensorSpec(name, _DATATYPES[str(array.dtype)], (-1, *array.shape[1:]))


def _fitted(spec: TensorSpec, array: Array) -> Array:
    wanted, dtype = spec.shape[1:], NUMPY_DTYPES[spec.datatype]
    if array.ndim == 1 and all(size in (-1, 1) for size in wanted):
        array = array.reshape(-1, *[1 for _ in wanted])
    if array.ndim != len(spec.shape) or any(
        size not in (-1, got) for size, got in zip(wanted, array.shape[1:], strict=True)
    ):
        raise CodeFailed(
            f"The output {spec.name!r} has another shape than its signature says.",
            subject=spec.name,
            expected=f"[{len(array)}, {', '.join(map(str, wanted))}]" if wanted else f"[{len(array)}]",
            got=str(list(array.shape)),
            hint="Declare a size that varies as -1: outputs = [{'name': …, 'shape': [-1, -1]}].",
        )
    if array.dtype == dtype:
        return array
    if not _converts(array, dtype):
        raise CodeFailed(
            f"The output {spec.name!r} does not hold what its signature says.",
            subject=spec.name,
            expected=spec.datatype,
            got=_DATATYPES[str(array.dtype)],
        )
    return array.astype(dtype)


def _converts(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether every value stays what it is; a float may lose digits, an empty array of text stands for any type."""
    if array.size == 0:
        return True
    if array.dtype.kind == "O" or dtype.kind == "O":
        return array.dtype.kind == "O" and dtype.kind == "f" and all(value is None for value in array.ravel())
    if dtype.kind == "f":
        return True
    if dtype.kind == "b":
        return bool(np.isin(array, (0, 1)).all())
    limits = np.iinfo(dtype)
    whole = array.dtype.kind != "f" or bool(np.equal(array, np.floor(array)).all())
    return whole and int(array.min()) >= limits.min and int(array.max()) <= limits.max


def _shown(value: Any) -> str:
    text = " ".join(f"{type(value).__name__}: {value!r}".split())
    return text if len(text) <= 100 else text[:99] + "…"
