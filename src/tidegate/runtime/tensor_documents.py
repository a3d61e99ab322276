"""Inputs and outputs as people write them: a list of `{name, datatype, shape, categories, labels}`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Datatype, TensorSpec

_KEYS = ("name", "datatype", "shape", "categories", "labels")
_DATATYPES: tuple[Datatype, ...] = get_args(Datatype)
_MOST_TENSORS, _MOST_DIMENSIONS = 10_000, 8


def specs_from_documents(documents: Any, subject: str) -> tuple[TensorSpec, ...]:
    """Read a list of inputs or outputs. `datatype` is FP64 and `shape` is `[-1]`, one value per row, where absent.

    Args:
        subject: where the list stands, for messages, e.g. "modelArtifact.settings.inputs".

    Raises:
        InvalidInput: something in it is wrong; the position is named.
    """
    if not isinstance(documents, (list, tuple)) or not 1 <= len(documents) <= _MOST_TENSORS:
        raise InvalidInput(
            f"{subject} is not a list of inputs or outputs.",
            subject=subject,
            expected='a list such as [{"name": "age", "datatype": "FP64"}]',
            got=str(documents)[:100],
        )
    specs = tuple(_spec(document, f"{subject}[{index}]") for index, document in enumerate(documents))
    names = [spec.name for spec in specs]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise InvalidInput(f"{subject} has {doubles[0]!r} twice.", subject=subject, expected="different names")
    return specs


def _spec(document: Any, where: str) -> TensorSpec:
    if not isinstance(document, Mapping) or not isinstance(document.get("name"), str) or not document["name"]:
        raise InvalidInput(
            f"{where} has no name.",
            subject=where,
            expected='an object such as {"name": "age", "datatype": "FP64"}',
            got=str(document)[:100],
        )
    for key in document:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise InvalidInput(
                f"{where} has no field {key!r}.",
                subject=where,
                expected=f"fields among {', '.join(_KEYS)}",
                hint=f"Did you mean {near[0]}?" if near else None,
            )
    datatype = document.get("datatype", "FP64")
    if datatype not in _DATATYPES:
        raise InvalidInput(
            f"{where} ({document['name']}) has no datatype that there is.",
            subject=f"{where}.datatype",
            expected=f"one of {', '.join(_DATATYPES)} (BYTES is text)",
            got=str(datatype)[:100],
        )
    shape = _shape(document.get("shape", [-1]), where)
    categories, labels = (_texts(document.get(key), f"{where}.{key}") for key in ("categories", "labels"))
    return TensorSpec(document["name"], datatype, shape, categories=categories, labels=labels)


def _shape(value: Any, where: str) -> tuple[int, ...]:
    fits = (
        isinstance(value, (list, tuple))
        and 1 <= len(value) <= _MOST_DIMENSIONS
        and all(isinstance(size, int) and not isinstance(size, bool) and (size == -1 or size > 0) for size in value)
        and value[0] == -1
    )
    if not fits:
        raise InvalidInput(
            f"{where} has no shape that can be served.",
            subject=f"{where}.shape",
            expected="whole numbers, the first -1 for the rows of a batch, e.g. [-1, 3]; -1 elsewhere is any size",
            got=str(value)[:100],
        )
    return tuple(value)


def _texts(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(text, str) for text in value):
        raise InvalidInput(f"{where} is not a list of texts.", subject=where, got=str(value)[:100])
    return tuple(value)
