"""Training sets that are correct at each point in time: a label gets the vector that was true then, never a later one.

The join is made in the database. Labels go to a temporary table, of which a second one says which vector each has;
then labels and vectors are read side by side, and written.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, and_, cast, func, insert, literal_column, select, text, true

from tidegate.contract.errors import InvalidInput
from tidegate.features import staging
from tidegate.features.reading import decoded
from tidegate.features.records import TrainingSet, View
from tidegate.features.tables import Labels, TrainingFile
from tidegate.store.database import Database
from tidegate.store.schema.features import feature_history

MOST_FEATURES = 2_000
#: Vectors in memory at once.
_AT_ONCE = 500
_KINDS = {
    **dict.fromkeys(("number", "integer", "real"), "number"),
    **dict.fromkeys(("boolean", "true", "false"), "boolean"),
    **dict.fromkeys(("string", "text"), "string"),
    **dict.fromkeys(("array", "object"), "json"),
}

#: Of a label: from when on its vector is true, and the features by column; None and nothing where there is no vector.
Row = tuple[datetime | None, dict[str, Any]]
#: Makes the file to write to, once the columns are known.
Opening = Callable[[Mapping[str, str], str], TrainingFile]


def training_set(
    database: Database,
    view: View,
    labels: Labels,
    opened: Opening,
    *,
    features: Sequence[str] | None,
    prefix: str,
    known_at: datetime | None,
    known_then: bool,
    progress: Callable[[int], None] = lambda _rows: None,
) -> TrainingSet:
    """Write a training set; see `FeatureStore.training_set`.

    Raises:
        InvalidInput: a label is none, names clash or are unknown, or there are too many features; nothing was written.
    """
    with staging.staging(database, staging.labels, staging.matches) as connection:
        filling = staging.Filling(connection, staging.labels)
        rows = 0
        for label in labels:
            filling.add(label.position, label.entity, label.at)
            rows += 1
        filling.flush()
        with connection.begin():
            staging.be_patient(connection)
            staging.analyse(connection, staging.labels)
            connection.execute(_matching(connection, view, known_at, known_then=known_then))
            staging.analyse(connection, staging.matches)
            found_at = staging.matches.c.found_at
            matched = connection.execute(select(func.count(found_at))).scalar_one()
            kinds = _chosen(_kinds(connection, view), features, view)
            columns = {f"{prefix}{name}": kind for name, kind in kinds.items()}
            time = f"{view.name}_at"
            _refuse_clashes([*labels.schema.names, time], columns)
            with opened(columns, time) as file:
                _write(_vectors(connection, view, kinds, prefix), labels, file, progress)
    return TrainingSet(rows, matched, tuple(columns), time)


def _matching(connection: Connection, view: View, known_at: datetime | None, *, known_then: bool) -> Any:
    """Return what finds for each label the newest vector that was true at its time, and known as it is asked for."""
    label, past = staging.labels.c, feature_history.c
    conditions = [past.view_id == view.id, past.entity == label.entity, past.at <= label.at]
    if known_then:
        conditions.append(past.written_at <= label.at)
    if known_at is not None:
        conditions.append(past.written_at <= known_at)
    order = (past.at.desc(), past.written_at.desc())
    names = ["position", "entity", "found_at", "found_written_at"]
    if connection.dialect.name == "postgresql":
        best = select(past.at, past.written_at).where(*conditions).order_by(*order).limit(1).lateral("best")
        joined: Any = staging.labels.outerjoin(best, true())
        return insert(staging.matches).from_select(
            names, select(label.position, label.entity, best.c.at, best.c.written_at).select_from(joined)
        )
    # SQLite has no LATERAL, and rows have numbers.
    number: Any = select(literal_column("feature_history.rowid")).select_from(feature_history).where(*conditions)
    best_number = number.order_by(*order).limit(1).correlate(staging.labels).scalar_subquery()
    found = feature_history.alias("found")
    joined = staging.labels.outerjoin(found, literal_column("found.rowid") == best_number)
    return insert(staging.matches).from_select(
        names, select(label.position, label.entity, found.c.at, found.c.written_at).select_from(joined)
    )


def _kinds(connection: Connection, view: View) -> dict[str, str]:
    """Return the features of all vectors that were found, by name, and what each holds.

    Raises:
        InvalidInput: there are too many.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    history = "feature_history" if is_sqlite else "features.feature_history"
    each = "json_each(h.vector) AS e" if is_sqlite else "LATERAL jsonb_each(h.vector) AS e (key, value)"
    kind = "e.type" if is_sqlite else "jsonb_typeof(e.value)"
    query = text(
        f"WITH used AS (SELECT DISTINCT entity, found_at, found_written_at FROM {staging.matches.name} "  # noqa: S608
        f"WHERE found_at IS NOT NULL) SELECT e.key AS name, {kind} AS kind FROM used AS u JOIN {history} AS h "
        "ON h.view_id = :view AND h.entity = u.entity AND h.at = u.found_at AND h.written_at = u.found_written_at "
        f"CROSS JOIN {each} GROUP BY 1, 2 ORDER BY 1 LIMIT :most"
    )
    found: dict[str, set[str]] = {}
    for row in connection.execute(query, {"view": view.id, "most": MOST_FEATURES * 8}):
        found.setdefault(row.name, set()).update({_KINDS[row.kind]} if row.kind in _KINDS else ())
    if len(found) > MOST_FEATURES:
        raise InvalidInput(
            f"the vectors of {view.name!r} have too many features for a table",
            subject=view.name,
            expected=f"at most {MOST_FEATURES:,}",
            hint="keep what has many names, such as one per category, in an object or an array under one name",
        )
    return {name: _kind_of(found[name]) for name in sorted(found)}


def _kind_of(kinds: set[str]) -> str:
    """Return what a column is to hold: what all of its values are, text where all are null, JSON where they differ."""
    return "json" if len(kinds) > 1 else next(iter(kinds), "string")


def _chosen(found: dict[str, str], wanted: Sequence[str] | None, view: View) -> dict[str, str]:
    if wanted is None:
        return found
    for name in wanted:
        if name not in found:
            raise InvalidInput(
                f"no vector of {view.name!r} that belongs to a label has a feature {name!r}",
                subject=name,
                expected=", ".join(found)[:500] or "none has any",
            )
    return {name: found[name] for name in dict.fromkeys(wanted)}


def _refuse_clashes(taken: Sequence[str], columns: Mapping[str, str]) -> None:
    clash = next((name for name in columns if name in taken), None)
    if clash is None and len(set(taken)) < len(taken):
        clash = taken[-1]
    if clash is not None:
        raise InvalidInput(
            f"the labels have a column {clash!r} already",
            subject=clash,
            expected="columns that the features do not have",
            hint="let the names of features begin with something: --prefix TEXT; or rename the label's column",
        )


def _write(vectors: Iterator[Row], labels: Labels, file: TrainingFile, progress: Callable[[int], None]) -> None:
    done = 0
    for batch in labels.batches():
        for begin in range(0, batch.num_rows, _AT_ONCE):
            part = batch.slice(begin, _AT_ONCE)
            found = list(itertools.islice(vectors, part.num_rows))
            if len(found) < part.num_rows:
                raise _changed(labels)
            file.write(part, found)
            done += part.num_rows
            progress(done)
    if next(vectors, None) is not None:
        raise _changed(labels)


def _vectors(connection: Connection, view: View, names: Iterable[str], prefix: str) -> Iterator[Row]:
    """Yield time and features of each label, in their order."""
    named = [(f"{prefix}{name}", name) for name in names]
    match, past = staging.matches.c, feature_history.c
    same = and_(
        past.view_id == view.id,
        past.entity == match.entity,
        past.at == match.found_at,
        past.written_at == match.found_written_at,
    )
    query = (
        select(past.at, cast(past.vector, Text).label("vector"))
        .select_from(staging.matches.outerjoin(feature_history, same))
        .order_by(match.position)
    )
    for row in connection.execute(query, execution_options={"yield_per": _AT_ONCE}):
        vector = {} if row.vector is None else decoded(row.vector)
        yield row.at, {column: vector[name] for column, name in named if name in vector}


def _changed(labels: Labels) -> InvalidInput:
    return InvalidInput(f"{labels.path} was changed while it was read", subject=str(labels.path))
