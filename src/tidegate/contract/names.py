"""Which names a deployment may have."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.contract.models import SCHEME, is_reference
from tidegate.contract.problems import problem, shown

#: A DNS label that starts with a letter: valid in a URL path, as a Kubernetes object and as a metric label.
NAME_PATTERN = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"

#: First path segments that the gateway and the API use themselves.
RESERVED_NAMES = frozenset({"v1", "v2", "metrics", "health", "healthz", "docs"})

EXPECTED_NAME = "a name of 1 to 63 lower-case letters, digits and hyphens that starts with a letter"

_LONGEST = 63
_SUFFIXES = frozenset(
    {
        *(".skops", ".joblib", ".pkl", ".pickle", ".json", ".ubj", ".bst", ".xgb", ".model", ".txt", ".lgb"),
        *(".onnx", ".zip", ".mojo", ".pt", ".pth", ".gz", ".tar", ".tgz", ".bin", ".h5", ".keras"),
    }
)


def is_valid_name(text: str) -> bool:
    return re.fullmatch(NAME_PATTERN[1:-1], text) is not None and text not in RESERVED_NAMES


def suggested_name(text: str) -> str:
    """Return a valid name made from any text, always the same for the same text."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if not name:
        return "model"
    if not name[0].isalpha() or name in RESERVED_NAMES:
        name = f"model-{name}"
    return name[:_LONGEST].rstrip("-")


def name_from_path(path: str) -> str:
    """Return the name that a deployment gets when the request gives none: the artifact's, without its suffix.

    That of a version in the model registry is its model's.
    """
    if is_reference(path):
        return suggested_name(re.split("[/@]", path.removeprefix(SCHEME))[0])
    file = PurePath(path)
    stem = file.name
    while PurePath(stem).suffix.lower() in _SUFFIXES:
        stem = PurePath(stem).stem
    return suggested_name(stem)


def arm_from_path(path: str) -> str:
    """Return the name that an arm gets when the request gives none: versions of one model differ in theirs."""
    return suggested_name(path.removeprefix(SCHEME)) if is_reference(path) else name_from_path(path)


def check_name(text: str, *, field: str = "name") -> str:
    """Return `text` unchanged when it is a valid deployment name.

    Raises:
        InvalidInput: it is not; the message suggests one.
    """
    if is_valid_name(text):
        return text
    expected, hint = _complaint(text)
    got = shown(text)
    raise InvalidInput(f"{field}: expected {expected}, got {got}", subject=field, expected=expected, got=got, hint=hint)


def validated_name(value: Any) -> str:
    """Check a name inside a document; for pydantic."""
    if not isinstance(value, str):
        raise problem(EXPECTED_NAME, value)
    if is_valid_name(value):
        return value
    expected, hint = _complaint(value)
    raise problem(expected, value, hint=hint)


def _complaint(text: str) -> tuple[str, str]:
    hint = f'try "{suggested_name(text)}"'
    if text in RESERVED_NAMES:
        return f"a name other than the reserved {', '.join(sorted(RESERVED_NAMES))}", hint
    return EXPECTED_NAME, hint
