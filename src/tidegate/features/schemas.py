"""The optional JSON Schema of a view's vectors: any draft from 4 on, checked by jsonschema-rs.

A schema is somebody's input as well: it reaches no network and no file, and its patterns match in linear time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.features.vectors import Check

LARGEST_SCHEMA = 256 * 1024
#: Of one pattern when it is compiled, in bytes.
_LARGEST_PATTERN = 1024 * 1024


def check_of(schema: Mapping[str, Any]) -> Check:
    """Return what says why a vector does not match a schema.

    Raises:
        InvalidInput: it is no JSON Schema, refers to another document, or is too large.
        Unavailable: the extra `features` is not installed.
    """
    try:
        import jsonschema_rs
    except ImportError as missing:
        raise Unavailable(
            "vectors are checked by jsonschema-rs, which is not installed", hint="pip install 'tidegate[features]'"
        ) from missing
    try:
        size = len(orjson.dumps(schema))
    except (TypeError, RecursionError) as wrong:
        raise InvalidInput(f"the schema is not JSON: {wrong}", subject="schema") from wrong
    if size > LARGEST_SCHEMA:
        raise InvalidInput(
            "the schema is too large", subject="schema", expected=f"at most {LARGEST_SCHEMA:,} bytes", got=f"{size:,}"
        )
    try:
        validator = jsonschema_rs.validator_for(
            dict(schema), offline=True, pattern_options=jsonschema_rs.RegexOptions(size_limit=_LARGEST_PATTERN)
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as wrong:
        raise InvalidInput(
            f"this is no JSON Schema that can be used: {_first_line(wrong)}",
            subject="schema",
            expected="a JSON Schema (draft 4 to 2020-12) that refers to no other document",
        ) from wrong

    def check(vector: Mapping[str, Any]) -> str | None:
        try:
            validator.validate(vector)
        except jsonschema_rs.ValidationError as wrong:
            place = ".".join(map(str, wrong.instance_path))
            said = wrong.message if len(wrong.message) <= 300 else f"{wrong.message[:300]}…"
            return f"{place}: {said}" if place else said
        except ValueError as wrong:
            return f"cannot be checked: {_first_line(wrong)}"
        return None

    return check


def texts_of(schema: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the features that a schema calls text: their cells in a CSV file are never numbers."""
    properties = (schema or {}).get("properties")
    if not isinstance(properties, Mapping):
        return frozenset()
    return frozenset(
        name
        for name, one in properties.items()
        if isinstance(one, Mapping)
        and one.get("type") in ("string", ["string"], ["string", "null"], ["null", "string"])
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
