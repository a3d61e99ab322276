"""What a MOJO file is, told without scoring: for people who got one and want to know."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.header import Header, read_header
from tidegate.runtime.mojo.load import MojoModel, read

_PACKAGE = "tidegate.runtime.mojo"
_TREES = ("n_trees", "ntrees")


def describe(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what a file says of itself and what it takes to serve it, as JSON has it.

    The keys `inputs`, `outputs` and `memory_bytes` (of the arrays of the loaded model) are None for a model that
    cannot be scored; `problem` says why, and is None for others.

    Raises:
        MojoFormatError: the file is damaged, or no MOJO.
        MojoUnsupportedError: its algorithm or its version is not known.
    """
    place = Path(path)
    if not place.exists():
        raise InvalidInput(f"There is no file {place}.", subject=str(place))
    with closing(open_container(place)) as container:
        told: dict[str, Any] = _of_header(read_header(container))
        try:
            model = read(container)
        except MojoUnsupportedError as error:
            return {**told, "inputs": None, "outputs": None, "memory_bytes": None, "problem": error.message}
    return {**told, **_of_model(model), "problem": None}


def _of_header(header: Header) -> dict[str, Any]:
    keys = header.keys
    return {
        "algorithm": keys.text("algorithm"),
        "category": header.category,
        "mojo_version": header.version,
        "h2o_version": keys.find("h2o_version"),
        "created": keys.find("timestamp"),
        "features": header.n_features,
        "encoding": keys.find("_genmodel_encoding"),
        "response": header.response,
        "classes": None if header.response_domain is None else list(header.response_domain),
        "threshold": header.threshold if header.n_classes == 2 else None,
        "offset_column": header.offset_column,
        "trees": next((keys.integer(key) for key in _TREES if key in keys), None),
    }


def _of_model(model: MojoModel) -> dict[str, Any]:
    inputs: list[dict[str, Any]] = [
        {"name": spec.name, "levels": None if spec.categories is None else list(spec.categories)}
        for spec in model.signature.inputs
    ]
    return {"inputs": inputs, "outputs": list(model.outputs), "memory_bytes": _bytes_of(model.scorer, set())}


def _bytes_of(value: Any, seen: set[int]) -> int:
    """Return the bytes of all arrays that an object of ours holds, each counted once."""
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return int(value.nbytes) if value.base is None else _bytes_of(value.base, seen)
    if isinstance(value, (list, tuple)):
        return sum(_bytes_of(item, seen) for item in value if not isinstance(item, (str, int, float)))
    if isinstance(value, Mapping):
        return sum(_bytes_of(item, seen) for item in value.values() if not isinstance(item, (str, int, float)))
    if type(value).__module__.startswith(_PACKAGE):
        slots = [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
        return sum(_bytes_of(item, seen) for item in [*slots, *getattr(value, "__dict__", {}).values()])
    return 0
