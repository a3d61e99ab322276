"""`telemetry.predictions` in PostgreSQL, by COPY. The one module of telemetry that knows psycopg."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.scheduling import WAY_SECONDS
from tidegate.telemetry.rows import COLUMNS, Row
from tidegate.telemetry.sink import Away, Refused

#: A condition that may be another for each row has PostgreSQL insert each as it comes. Without one it gathers 64 kB of
#: them, which then take a processor more than a millisecond: long enough to be noticed by who is answered there.
#: (`CopyFrom` in its copyfrom.c.)
_COPY = f"COPY telemetry.predictions ({', '.join(COLUMNS)}) FROM STDIN WHERE random() >= 0"
#: Of each session. A sampled log may lose its last moments when the database is killed or its machine fails, and nobody
#: waits for the disk.
_SESSION = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "synchronous_commit": "off",
    "timezone": "UTC",
}
#: What gives up a connection whose other end is gone without a word.
_CONNECTING = {
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "application_name": "tidegate prediction log",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
}
#: Classes of errors that are a row's fault: its data, constraints, and sizes.
_OF_ROWS = ("22", "23", "54")
#: Classes that pass: connections, transactions that were rolled back for others, resources, an operator, the system,
#: a standby, and locks.
_PASSING = ("08", "25006", "40", "53", "55P03", "57", "58")
#: The row's partition was made while it was about to go into the default one: it goes there when tried again.
_CHECK_VIOLATION = "23514"
#: So many rows are sent at a time, and so long lies between two pieces: this process answers users, and the database
#: may share processors with it. A piece takes the one some 0.1 ms, the other 0.4. No more than a part of the time in
#: which nothing was to be written goes into it: who writes all the time makes way for its own threads, and that is all.
_PIECE, _BETWEEN_SECONDS, _PART_OF_IDLE = 32, 0.005, 0.25
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})


class PostgresqlTable:
    """The table in one database, over one connection; for one thread.

    Args:
        url: of the database, `postgresql://…`; whoever it says may need nothing but INSERT.

    Raises:
        InvalidInput: it is no such URL.
        Unavailable: psycopg is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
            from psycopg.conninfo import conninfo_to_dict, make_conninfo
        except ImportError as error:
            raise Unavailable(
                "A prediction log in PostgreSQL needs psycopg, which is not installed.",
                subject="--prediction-log",
                hint="pip install 'tidegate[postgresql]'",
            ) from error
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError:
            # Not `from error`: it quotes the URL, and with it a password.
            raise InvalidInput(
                "The URL of the prediction log's database cannot be read.",
                subject="--prediction-log",
                expected="postgresql://USER@HOST:PORT/DATABASE",
            ) from None
        session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        given["options"] = f"{session} {given.get('options', '')}".strip()
        self._psycopg = psycopg
        self._conninfo = make_conninfo(**{**_CONNECTING, **given})
        self._connection: psycopg.Connection | None = None
        self._written_at = time.monotonic()

    def put(self, rows: Sequence[Row]) -> None:
        """Write rows; see `sink.PredictionTable`."""
        between = pause_seconds(time.monotonic() - self._written_at, -(-len(rows) // _PIECE))
        try:
            self._copy(rows, between)
        except self._psycopg.Error as error:
            if error.sqlstate != _CHECK_VIOLATION:
                raise self._told(error) from error
            try:
                self._copy(rows, between)
            except self._psycopg.Error as again:
                raise self._told(again) from again
        finally:
            self._written_at = time.monotonic()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _copy(self, rows: Sequence[Row], between_seconds: float) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for start in range(0, len(rows), _PIECE):
                copy.write(b"".join(map(_line, rows[start : start + _PIECE])))
                time.sleep(between_seconds)

    def _told(self, error: Exception) -> Exception:
        state = getattr(error, "sqlstate", None) or ""
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if state.startswith(_PASSING) or (not state and isinstance(error, self._psycopg.OperationalError)):
            return Away(message)
        # What is refused is a user's data, and the message may quote it: its name does.
        return Refused(type(error).__name__) if state.startswith(_OF_ROWS) else RuntimeError(message)


def pause_seconds(idle_seconds: float, pieces: int) -> float:
    """Return how long lies between two pieces, after so long a time in which nothing was written."""
    return max(WAY_SECONDS, min(_BETWEEN_SECONDS, _PART_OF_IDLE * idle_seconds / pieces))


def _line(row: Row) -> bytes:
    """Return a row in COPY's text format."""
    return b"%b\t%b\t%b\t%d\t%d\t%b\t%b\n" % (
        row.at.encode(),
        _escaped(row.request_id),
        _known(row.deployment),
        row.revision,
        row.rows,
        # JSON has no character that is to be escaped but the backslash.
        row.inputs.replace(b"\\", b"\\\\"),
        row.outputs.replace(b"\\", b"\\\\"),
    )


def _escaped(text: str) -> bytes:
    # Nearly all are; to look is a tenth of the translation.
    if text.isprintable() and "\\" not in text:
        return text.encode()
    return text.translate(_ESCAPES).encode()


#: There are one or two, in every row.
_known = lru_cache(maxsize=8)(_escaped)
