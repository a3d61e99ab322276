"""The categories that an XGBoost model has on record, and the codes that they stand for.

Since 3.1 a model holds the categories it was trained on, and recodes those of a DataFrame by itself; a plain array it
takes as codes. Tidegate reads the record once and hands over codes.

XGBoost 3.2 has a fault there: for text beyond ASCII in pandas columns its record counts characters where it keeps
bytes of UTF-8, so that boundaries shift and the end is lost (`xgboost/_data_utils.py`, `npstr_to_arrow_strarr`). Such a
record cannot be told from a sound one in every case; the user has to say what the categories were, and the record
confirms it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.columns import Codes
from tidegate.runtime.ubjson import find_value


def category_codes(booster: Any, settings: Mapping[str, Any]) -> dict[str, Codes]:
    """Return the codes of every column whose categories are known; other categorical columns take codes as numbers.

    Args:
        booster: an `xgboost.Booster`.
        settings: `categories`, a mapping from column to its categories in the order of training, stands in where the
            record of the model is faulty.

    Raises:
        InvalidInput: a record is faulty and the settings do not say what it should be, or do not agree with it.
    """
    names, types = booster.feature_names, booster.feature_types
    if not names or not types or "c" not in types:
        return {}
    found = find_value(booster.save_raw("ubj"), "cats", b"{")
    encodings = found.get("enc", []) if isinstance(found, dict) else []
    told = settings.get("categories") or {}
    codes = {}
    for name, encoding in zip(names, encodings, strict=False):
        values = _values(name, encoding, told.get(name))
        if values:
            # A code that no split names: XGBoost treats a category that it never saw as not chosen.
            codes[name] = Codes(values, unknown=float(len(values)))
    return codes


def _values(name: str, encoding: Mapping[str, Any], told: Sequence[str] | None) -> list[Any]:
    """Return the categories of one column: numbers, or text kept as offsets into UTF-8 bytes, as Arrow does."""
    values, offsets = encoding.get("values", []), encoding.get("offsets")
    if offsets is None:
        return [int(value) for value in values]
    octets = bytes(value & 0xFF for value in values)
    if octets.isascii():
        return [octets[start:end].decode() for start, end in itertools.pairwise(offsets)]
    if told is None:
        raise InvalidInput(
            f"The categories of {name!r} are not reliable in this file: XGBoost garbles text beyond ASCII when it "
            f"saves the categories of a pandas column.",
            subject=name,
            got=octets.decode(errors="replace")[:200],
            hint=f"Train with categories in plain ASCII, which XGBoost keeps whole; or say what they were, in the "
            f"order of training, in a request document (deploy -f): modelArtifact.settings.categories.{name}: [...]",
        )
    if not _agrees([str(value) for value in told], octets, offsets):
        raise InvalidInput(
            f"The categories of {name!r} in the settings are not those that the model was trained on.",
            subject=f"modelArtifact.settings.categories.{name}",
            expected=f"{len(offsets) - 1} categories, as the file has them: {octets.decode(errors='replace')[:200]}",
            got=", ".join(str(value) for value in told)[:200],
        )
    return [str(value) for value in told]


def _agrees(told: Sequence[str], octets: bytes, offsets: Sequence[int]) -> bool:
    whole = "".join(told).encode()
    in_characters = [0, *itertools.accumulate(len(text) for text in told)]
    in_bytes = [0, *itertools.accumulate(len(text.encode()) for text in told)]
    return whole.startswith(octets) and list(offsets) in (in_characters, in_bytes)
