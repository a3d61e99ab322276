"""Signatures as JSON, and the batch size of typed inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Columns, Datatype, Signature, TensorSpec

_DATATYPES = frozenset(get_args(Datatype))
_KINDS: dict[str, Literal["columns", "tensors", "opaque"]] = {
    "columns": "columns",
    "tensors": "tensors",
    "opaque": "opaque",
}


def _spec_to_dict(spec: TensorSpec) -> dict[str, Any]:
    document: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
    if spec.categories is not None:
        document["categories"] = list(spec.categories)
    if spec.labels is not None:
        document["labels"] = list(spec.labels)
    if spec.open_categories:
        document["open_categories"] = True
    return document


def signature_to_dict(signature: Signature) -> dict[str, Any]:
    """Return the JSON form of a signature; `categories` and `labels` are left out where they are None, and
    `open_categories` where it is False."""
    return {
        "kind": signature.kind,
        "inputs": [_spec_to_dict(spec) for spec in signature.inputs],
        "outputs": [_spec_to_dict(spec) for spec in signature.outputs],
    }


def _texts(document: Mapping[str, Any], key: str) -> tuple[str, ...] | None:
    values = document.get(key)
    return None if values is None else tuple(str(value) for value in values)


def _spec_from_dict(document: Mapping[str, Any]) -> TensorSpec:
    if document["datatype"] not in _DATATYPES:
        raise ValueError(f"unknown datatype {document['datatype']!r}")
    return TensorSpec(
        name=str(document["name"]),
        datatype=document["datatype"],
        shape=tuple(int(size) for size in document["shape"]),
        categories=_texts(document, "categories"),
        labels=_texts(document, "labels"),
        open_categories=document.get("open_categories") is True,
    )


def signature_from_dict(document: Mapping[str, Any]) -> Signature:
    """Read what `signature_to_dict` wrote.

    Raises:
        InvalidInput: the document is not a signature.
    """
    try:
        return Signature(
            kind=_KINDS[document["kind"]],
            inputs=tuple(_spec_from_dict(spec) for spec in document["inputs"]),
            outputs=tuple(_spec_from_dict(spec) for spec in document["outputs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"The signature on record cannot be read: {error}.", subject="signature") from error


def batch_size(signature: Signature, inputs: Columns) -> int:
    """Return the number of rows in typed inputs."""
    return len(inputs[signature.inputs[0].name])


def fixed_rows(signature: Signature) -> int | None:
    """Return how many rows a model that was made for one batch size takes, None when it takes any number."""
    sizes = [spec.shape[0] for spec in signature.inputs if spec.shape and spec.shape[0] != -1]
    return max(sizes, default=None)
