"""Which rows of a request name an entity, and what they are once its features are known: pure.

A request is `{"entities": [key, …]}`, or rows in one of the forms of `/predict` that hold the column of the entity
beside what is known at the time of the request. What a row says itself wins over the store. Rows without that column,
and rows that have all inputs of the model, are left as they are; the form `columns` is, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from tidegate.contract.errors import InvalidInput, NotFound, TidegateError
from tidegate.server.protocols.base import Limits, TooLarge
from tidegate.server.protocols.rows import parse_json
from tidegate.server.protocols.values import shorten

ENTITIES = "entities"
_LONGEST_KEY = 256
_NAMED = 5


class UnknownEntity(NotFound):
    """The feature view has no vector of an entity."""

    code = "unknown_entity"


@dataclass(frozen=True)
class Asked:
    """Rows of a request, and for each the key of its entity; None for one that needs no features."""

    rows: Sequence[dict[str, Any]]
    keys: Sequence[str | None]

    @property
    def wanted(self) -> list[str]:
        """The keys, each once."""
        return list(dict.fromkeys(key for key in self.keys if key is not None))


def asked(body: bytes, entity: str, inputs: Collection[str], limits: Limits) -> Asked | None:
    """Return the rows of a request that names entities; None for one that is the model's own business as it is.

    Raises:
        InvalidInput: a key is none.
        TooLarge: there are too many rows.
    """
    try:
        document = parse_json(body)
    except TidegateError:
        return None
    if isinstance(document, dict) and document.keys() == {ENTITIES} and ENTITIES not in inputs:
        keys = document[ENTITIES]
        if not isinstance(keys, list):
            raise InvalidInput(
                f"{ENTITIES!r} must be a list", subject=ENTITIES, expected="keys of entities", got=shorten(keys)
            )
        _bounded(keys, limits)
        return Asked([{entity: key} for key in keys], [_key(key, ENTITIES) for key in keys])
    rows = document
    if isinstance(document, dict):
        is_wrapped = document.keys() == {"records"} and isinstance(document["records"], list)
        rows = document["records"] if is_wrapped and "records" not in inputs else [document]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    _bounded(rows, limits)
    needed = [entity in row and any(name not in row for name in inputs) for row in rows]
    if not any(needed):
        return None
    return Asked(rows, [_key(row[entity], entity) if needs else None for row, needs in zip(rows, needed, strict=True)])


def completed(found: Asked, vectors: Mapping[str, str | bytes], view: str, inputs: Collection[str], most: int) -> bytes:
    """Return the body of the request whose rows are whole.

    Args:
        vectors: JSON of each entity that has one.
        most: bytes that the body may have.

    Raises:
        UnknownEntity: an entity has no vector.
        TooLarge: the rows are, with their features.
    """
    missing = [key for key in found.wanted if key not in vectors]
    if missing:
        named = ", ".join(repr(key[:40]) for key in missing[:_NAMED])
        raise UnknownEntity(
            f"the feature view {view!r} has no vector of {named}"
            + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""),
            subject=view,
            hint="load it, or send rows that have all inputs of the model",
        )
    features = {key: _features(vectors[key], inputs) for key in found.wanted}
    rows = [row if key is None else {**features[key], **row} for row, key in zip(found.rows, found.keys, strict=True)]
    body = orjson.dumps(rows)
    if len(body) > most:
        raise TooLarge(f"the request's rows with their features are larger than {most} bytes")
    return body


def _features(text: str | bytes, inputs: Collection[str]) -> dict[str, Any]:
    vector: dict[str, Any] = orjson.loads(text)
    return {name: value for name, value in vector.items() if name in inputs}


def _bounded(rows: Sequence[Any], limits: Limits) -> None:
    if len(rows) > limits.rows:
        raise TooLarge(f"the request has {len(rows)} rows", expected=f"at most {limits.rows} rows")


def _key(value: object, field: str) -> str:
    key = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or "\0" in key:
        raise InvalidInput(
            f"{field}: {shorten(value)} is no key of an entity",
            subject=field,
            expected=f"text of 1 to {_LONGEST_KEY} characters, or a whole number of 64 bits",
            got=shorten(value),
        )
    return key
