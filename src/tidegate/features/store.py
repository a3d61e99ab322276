"""The feature store: what programs and the command line call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, Unavailable
from tidegate.features import loading, reading, training
from tidegate.features.records import Found, Holdings, Loaded, Quarantined, TrainingSet, View
from tidegate.features.rows import csv_rows, json_lines
from tidegate.features.schemas import check_of, texts_of
from tidegate.features.tables import LABEL_FORMS, Labels, TrainingFile, parquet_rows, table_rows
from tidegate.features.vectors import Columns, Raw
from tidegate.store.address import Address, shown
from tidegate.store.database import is_of
from tidegate.store.place import place_of
from tidegate.store.schema.features import feature_views
from tidegate.store.versions import opened

#: How the names of views are made: what a file, a URL and a column can carry.
VIEW_NAME = re.compile(r"[a-z]([a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_LONGEST_COLUMN = 100
FORMS = "JSON lines (.jsonl, .ndjson), CSV (.csv) or Parquet (.parquet)"
_FORM_OF = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}

Form = Literal["jsonl", "csv", "parquet"]


def utc_now() -> datetime:
    return datetime.now(UTC)


class FeatureStore:
    """Feature views in the store of Tidegate; for several threads and processes at once.

    Args:
        address: a file, or the URL of a PostgreSQL database.
        clock: returns now, aware. When vectors are written, PostgreSQL's own clock counts.

    Raises:
        Unavailable: the store cannot be reached or is of another version; see `tidegate.store.Store`.
    """

    def __init__(self, address: Address, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = opened(address)
        self._clock = clock

    @classmethod
    def at(cls, store: str | None, home: Path, *, make: bool = False) -> FeatureStore:
        """Open the store that is meant: by `store`, else by TIDEGATE_STORE, else the file of a home.

        Args:
            make: whether to make the file when there is none.

        Raises:
            InvalidInput: the address is none, or holds a password, which an argument must not.
            NotFound: there is no such file, and it is not to be made.
            Unavailable: see the class; or the home cannot be written.
        """
        address = place_of(home, store)
        if isinstance(address, Path) and not address.exists():
            if not make:
                raise NotFound(
                    f"there is no store {shown(address)}",
                    subject=shown(address),
                    hint="make a view, and it is there: tidegate features create NAME --entity COLUMN; "
                    "or name another store: --store, TIDEGATE_STORE, --home",
                )
            try:
                address.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as wrong:
                raise Unavailable(
                    f"the folder of the store cannot be written: {wrong.strerror}", subject=shown(address)
                ) from wrong
        return cls(address)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Views

    def create(self, name: str, entity: str, schema: Mapping[str, Any] | None = None, *, by: str = "") -> View:
        """Make a view.

        Args:
            entity: what its entities are, such as `customer`: the name of the column that holds their keys.
            schema: JSON Schema that each vector is to match, in draft 4 to 2020-12; None for any object.

        Raises:
            InvalidInput: a name or the schema is not right.
            Conflict: there is such a view.
        """
        if VIEW_NAME.fullmatch(name) is None:
            raise InvalidInput(
                f"{name[:100]!r} is no name of a feature view",
                subject="name",
                expected="1 to 63 lower-case letters, digits, hyphens and underscores, a letter first",
            )
        check_column(entity, "entity")
        if schema is not None:
            check_of(schema)
        values = {"name": name, "entity": entity, "schema": schema, "created_at": self._clock(), "created_by": by}
        try:
            with self._database.write() as db:
                db.execute(insert(feature_views).values(**values))
        except IntegrityError as error:
            if not is_of(error, "feature_views_name_key", "feature_views.name"):
                raise
            raise Conflict(
                f"there is a feature view {name!r} already",
                subject=name,
                hint=f"look at it: tidegate features show {name}",
            ) from error
        return self.view(name)

    def views(self) -> list[View]:
        """Return the views by name."""
        return reading.views(self._database)

    def view(self, name: str) -> View:
        """Return the view of that name; NotFound when there is none."""
        return reading.view(self._database, name)

    def holdings(self, name: str) -> Holdings:
        """Count what a view holds; reads all of its rows. NotFound when there is none of that name."""
        return reading.holdings(self._database, self.view(name))

    # Vectors

    def load(
        self,
        name: str,
        data: Any,
        *,
        form: Form | None = None,
        entity_column: str | None = None,
        time_column: str = "at",
        at: datetime | None = None,
        most_refused: int = loading.MOST_REFUSED,
        progress: loading.Progress = lambda _read, _refused: None,
    ) -> Loaded:
        """Load vectors: all rows that are right, or, where anything goes wrong, nothing.

        A row holds the key of an entity, the time from which on it is true, and features. A row that is none goes to
        the quarantine with the reason. The newest vector of an entity is what is looked up, in whatever order vectors
        come. To load rows again changes no vector; other features for the same entity and time correct those before,
        which stay in the history.

        Args:
            data: a path (JSON lines, CSV or Parquet), a binary stream (with `form`), a table (a DataFrame of pandas or
                Polars, an Arrow table), or an iterable of mappings.
            form: of the file; None to see it from its name.
            entity_column: None for the name of the view's entity.
            at: the time of rows that hold none; None where each row must hold its own.
            most_refused: with more refused rows than this, the load is refused.

        Raises:
            NotFound: there is no such view.
            InvalidInput: the data cannot be read, lacks a column, or too many rows are refused; nothing was written.
            Unavailable: the store cannot be written; nothing was.
        """
        view = self.view(name)
        columns = Columns(entity_column or view.entity, time_column, at)
        check_column(columns.entity, "entity column")
        check_column(columns.time, "time column")
        if columns.entity == columns.time:
            raise InvalidInput("entity and time are in two columns", subject=columns.time)
        check = None if view.schema is None else check_of(view.schema)
        with _rows(data, form, columns, view) as (rows, source):
            return loading.load(
                self._database,
                view,
                rows,
                columns,
                check=check,
                source=source,
                clock=self._clock,
                most_refused=most_refused,
                progress=progress,
            )

    def get(
        self,
        name: str,
        entities: Sequence[str | int],
        *,
        true_at: datetime | None = None,
        known_at: datetime | None = None,
    ) -> dict[str, Found]:
        """Return the vector of each of these entities that has one, by its key; one statement, however many they are.

        Without a time it is the newest. With one it is what was true at `true_at`, as far as it was known at
        `known_at`.

        Raises:
            NotFound: there is no such view.
            InvalidInput: a key is none, or there are more than 10,000.
        """
        if true_at is None and known_at is None:
            return reading.newest(self._database, name, entities)
        return reading.at_time(self._database, name, entities, true_at=true_at, known_at=known_at)

    def history(self, name: str, entity: str | int, limit: int = 100) -> list[Found]:
        """Return vectors of an entity, the latest first; of one time, the one that was written last first.

        Raises:
            NotFound: there is no such view.
            InvalidInput: the key is none, or the limit is not from 1 to 10,000.
        """
        return reading.history(self._database, self.view(name), entity, limit)

    def quarantine(self, name: str, limit: int = 100) -> list[Quarantined]:
        """Return rows that were refused, those that came last first. Raises as `history`."""
        return reading.quarantine(self._database, self.view(name), limit)

    def training_set(
        self,
        name: str,
        labels: Path,
        out: Path,
        *,
        entity_column: str | None = None,
        time_column: str = "at",
        features: Sequence[str] | None = None,
        prefix: str = "",
        known_at: datetime | None = None,
        known_then: bool = False,
        progress: Callable[[int], None] = lambda _rows: None,
    ) -> TrainingSet:
        """Write labels with features as they were at the time of each label: never one that became true later.

        The columns of the labels come first, as they are; then `NAME_at`, from when on the features are true, and the
        features by name. A label without a vector has nulls. Numbers are written as doubles, and what is an array, an
        object, or not the same in all vectors as JSON text. The file appears when it is whole.

        Args:
            labels: CSV or Parquet, with an entity and a time in each row.
            out: CSV or Parquet, by its name.
            entity_column: of the labels; None for the name of the view's entity.
            features: only these; None for all that the vectors have.
            prefix: what the columns of features begin with.
            known_at: leave out what was written later, so that the same set can be made again; None for no bound.
            known_then: leave out what was written later than the label's time as well.

        Raises:
            NotFound: there is no such view.
            InvalidInput: a file cannot be read or written, a label has no entity or no time, or names clash.
        """
        view = self.view(name)
        if out.suffix.lower() not in (".csv", ".parquet"):
            raise InvalidInput("a training set is a table", subject=str(out), expected=LABEL_FORMS, got=out.name)
        columns = Columns(entity_column or view.entity, time_column)
        read = Labels(labels, columns, typed=out.suffix.lower() == ".parquet")

        def begin(kinds: Mapping[str, str], time: str) -> TrainingFile:
            return TrainingFile(out, read.schema, kinds, time)

        return training.training_set(
            self._database,
            view,
            read,
            begin,
            features=features,
            prefix=prefix,
            known_at=known_at,
            known_then=known_then,
            progress=progress,
        )


def check_column(name: str, what: str) -> None:
    """Raise InvalidInput where a column has a name that cannot be told to people."""
    if not 1 <= len(name) <= _LONGEST_COLUMN or not name.isprintable() or name != name.strip():
        raise InvalidInput(
            f"{name[:_LONGEST_COLUMN]!r} is no name of a column",
            subject=what,
            expected=f"1 to {_LONGEST_COLUMN} characters that can be printed, without spaces around them",
        )


@contextmanager
def _rows(data: Any, form: Form | None, columns: Columns, view: View) -> Iterator[tuple[Iterable[Raw], str]]:
    """Open what rows come in; yield them and its name."""
    if isinstance(data, str | Path):
        path = Path(data).expanduser()
        form = form or _form_of(path)
        if not path.is_file():
            raise InvalidInput(f"there is no file {path}", subject=str(path), expected=FORMS)
        if form == "parquet":
            yield parquet_rows(path, columns), str(path)
            return
        try:
            stream = path.open("rb")
        except OSError as wrong:
            raise InvalidInput(f"{path} cannot be read: {wrong.strerror}", subject=str(path)) from wrong
        with stream:
            yield _text_rows(stream, form, columns, str(path), view), str(path)
    elif hasattr(data, "readline"):
        if form not in ("jsonl", "csv"):
            raise InvalidInput("the form of a stream must be told", subject="form", expected="jsonl or csv")
        yield _text_rows(data, form, columns, "the stream", view), getattr(data, "name", None) or "a stream"
    elif hasattr(data, "__arrow_c_stream__"):
        yield table_rows(data, columns), f"a table ({type(data).__name__})"
    else:
        yield (_raw(position, one) for position, one in enumerate(data, 1)), "rows of a program"


def _text_rows(stream: BinaryIO, form: Form, columns: Columns, source: str, view: View) -> Iterable[Raw]:
    return json_lines(stream) if form == "jsonl" else csv_rows(stream, columns, source, texts_of(view.schema))


def _raw(position: int, one: object) -> Raw:
    if isinstance(one, Mapping):
        return Raw(position, one)
    return Raw(position, None, str(one), "is not an object")


def _form_of(path: Path) -> Form:
    form: Any = _FORM_OF.get(path.suffix.lower())
    if form is None:
        raise InvalidInput(f"{path} is of no known form", subject=str(path), expected=FORMS, got=path.suffix or "none")
    known: Form = form
    return known
