"""Encodings of categories that a file does not name among its keys, because its algorithm has none for them.

XGBoost, K-means and extended isolation forests are trained on the columns that H2O made of the user's, and their files
hold those alone; H2O's own scorer then looks for them in the row, finds none, and scores missing values. What the
training's parameters and the names of columns say is enough for one-hot columns, which are called after their levels:
"kind.a", "kind.b", "kind.missing(NA)". For the others the levels' numbers are lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.runtime.mojo.container import MODEL_INI, Container
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.text import trim

#: Algorithms that take `categorical_encoding` and have no keys for it.
SILENT = frozenset({"xgboost", "kmeans", "extended_isolation_forest"})

#: The user's columns, and the levels of each in the order of their codes; None for a number.
Originals = tuple[list[str], list[tuple[str, ...] | None]]

_DETAILS = "experimental/modelDetails.json"
_MAX_DETAILS_BYTES = 64 << 20
_PARAMETERS = {
    "OneHotExplicit": "one_hot_explicit",
    "Binary": "binary",
    "Eigen": "eigen",
    "LabelEncoder": "label_encoder",
    "EnumLimited": "enum_limited",
}
_PARAMETER = "categorical_encoding"
_MISSING = "missing(NA)"
_LIMITED = re.compile(r".+\.top_[0-9]+_levels", re.DOTALL)


@dataclass(frozen=True)
class _Training:
    """What the details of a training say.

    Attributes:
        encoding: as the parameter was understood; None where it is not said.
        originals: all columns of the training frame that were used; empty where they are not said.
        names: those that H2O made of them, in the order of the model.
    """

    encoding: str | None = None
    originals: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def lost_originals(container: Container, header: Header) -> Originals | None:
    """Return the user's columns of a model that was trained on one-hot columns made of them, numbers and categories in
    the user's order; None of one whose columns are the user's own.

    Raises:
        MojoFormatError: the details of the training are too large.
        MojoUnsupportedError: the columns are made by an encoding that the file does not hold.
    """
    training = _training(container)
    encoding = training.encoding or _encoding_by_names(header.features)
    if encoding == "EnumLimited" and not any(map(_LIMITED.fullmatch, header.features)):
        return None  # no column had so many levels that some had to go
    if encoding != "LabelEncoder" and training.originals and set(header.features) <= set(training.originals):
        return None  # there was nothing to be encoded
    if encoding not in _PARAMETERS:
        return None
    found = _one_hot(training, header) if encoding == "OneHotExplicit" else None
    if found is None:
        raise MojoUnsupportedError(
            f"the model was trained with categorical_encoding = {_PARAMETERS[encoding]}, and its file does not hold "
            "how its categories were encoded: H2O's own scorer gives wrong scores for it",
            subject=MODEL_INI,
            hint="Train it with the default encoding, or with one_hot_explicit.",
        )
    return found


def _encoding_by_names(names: Sequence[str]) -> str | None:
    """Return the encoding that names of columns give away, for files without details."""
    known = set(names)
    if any(map(_LIMITED.fullmatch, names)):
        return "EnumLimited"
    if any(name.endswith(f".{_MISSING}") for name in names):
        return "OneHotExplicit"
    if any(name.endswith(":1") and f"{name[:-1]}0" in known for name in names):
        return "Binary"
    return None


def _one_hot(training: _Training, header: Header) -> Originals | None:
    """Return the originals of one-hot columns; None where the names can be taken in more than one way, or in none."""
    size = header.n_features
    names = training.names[:size]
    # A line of model.ini is without the blanks around it, which may belong to a level.
    if tuple(map(trim, names)) != header.features:
        return None
    others = set(header.info.columns[size:])
    originals = [name for name in training.originals if name not in others]
    numbers = [name for name in originals if name in set(names)]
    if list(names[: len(numbers)]) != numbers:
        return None
    at = len(numbers)
    domains: list[tuple[str, ...] | None] = []
    for name in originals:
        if name in numbers:
            domains.append(None)
            continue
        prefix = f"{name}."
        levels: list[str] = []
        while at < size and names[at].startswith(prefix) and names[at] != prefix + _MISSING:
            levels.append(names[at].removeprefix(prefix))
            at += 1
        if at == size or names[at] != prefix + _MISSING or len(set(levels)) < len(levels):
            return None
        at += 1
        domains.append(tuple(levels))
    return (originals, domains) if at == size else None


def _training(container: Container) -> _Training:
    if not container.has(_DETAILS):
        return _Training()
    if container.size(_DETAILS) > _MAX_DETAILS_BYTES:
        raise MojoFormatError(_DETAILS, f"has more than {_MAX_DETAILS_BYTES >> 20} MiB")
    try:
        details = json.loads(container.read(_DETAILS))
        values = {one["name"]: one["actual_value"] for one in details["parameters"] if one["name"] == _PARAMETER}
        output = details["output"]
        originals = output.get("original_names") or ()
        return _Training(values.get(_PARAMETER), tuple(map(str, originals)), tuple(map(str, output["names"])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # These details are for people, and not all H2Os wrote them in this form.
        return _Training()
