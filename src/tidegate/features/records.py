"""What the feature store returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class View:
    """A named kind of vectors.

    Attributes:
        entity: what its entities are, and how the column is called that holds their keys.
        schema: JSON Schema of a vector; None for any object.
        loaded_at: when vectors were written to it last; None for never.
    """

    id: int
    name: str
    entity: str
    schema: Mapping[str, Any] | None
    created_at: datetime
    created_by: str
    loaded_at: datetime | None


@dataclass(frozen=True)
class Holdings:
    """How much a view holds.

    Attributes:
        entities: that have a vector.
        vectors: of all times.
        quarantined: rows that were refused.
        first, last: the earliest and the latest time from which on a vector is true; None where there is none.
    """

    entities: int
    vectors: int
    quarantined: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Found:
    """A vector of an entity: from when on it is true, when it was written, and the features."""

    entity: str
    at: datetime
    written_at: datetime
    vector: Mapping[str, Any]


@dataclass(frozen=True)
class Quarantined:
    """A row that was refused: what it came in and where in it, the row itself as far as it was kept, and why."""

    id: int
    received_at: datetime
    source: str
    position: int
    entity: str
    row: str
    reason: str


@dataclass(frozen=True)
class Loaded:
    """What became of the rows of a load.

    Attributes:
        read: all of them.
        written: vectors that are new.
        unchanged: rows that say what is on record for their entity and time, or that a later row of the load corrects.
        newest: entities whose newest vector is another one now.
        quarantined: rows that were refused.
        reasons: of the first of these: where each was, and what was wrong.
        written_at: when the vectors were known, as `known_at` of a look-up counts.
    """

    read: int
    written: int
    unchanged: int
    newest: int
    quarantined: int
    reasons: tuple[tuple[int, str], ...]
    written_at: datetime


@dataclass(frozen=True)
class TrainingSet:
    """What was written.

    Attributes:
        rows: as many as there are labels.
        matched: those for which there was a vector.
        features: the columns of features.
        time: the column that says from when on they are true.
    """

    rows: int
    matched: int
    features: tuple[str, ...]
    time: str
