"""What an administrator does to a store: make its tables, bring them to date, see whether they are well."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, Unavailable
from tidegate.contract.findings import Finding, Level
from tidegate.store import catalogue, file_catalogue
from tidegate.store.address import Address, shown
from tidegate.store.database import Damaged, Database
from tidegate.store.definition import ANALYST, CONTROLLER, OWNER, ROLES
from tidegate.store.maintenance import default_of, is_managed, partitions_of
from tidegate.store.partman import give_back, refuse_elsewhere, withheld
from tidegate.store.schema import PARTITIONED
from tidegate.store.versions import VERSION, bring_to_date, connected, version_of

_NOT_ALLOWED = "42501"
#: Objects that a finding names, and rows of a default partition that are counted.
_MOST_NAMED, _MOST_COUNTED = 8, 100_000
_MAKE, _CHANGE_BACK = "restore it, or make it as in: db init --print", "change it back, as in: db init --print"
_RESTORE = "restore the file from a copy"
_MAINTAIN = "tidegate db maintain"
_BY_ITSELF = f"where the controller's role is no member of {OWNER}"
#: Who may do something, and what helps.
_MEMBER = (f"a member of {ANALYST}, {CONTROLLER} or {OWNER}", f"as a superuser: GRANT {ANALYST} TO the_role")
_SUPERUSER = (
    "a superuser: roles and an extension are made as well",
    "or have somebody who is one run what this writes: tidegate db init --print",
)


@dataclass(frozen=True)
class Changed:
    """What became of a schema.

    Attributes:
        found: the version that it had; None for an empty database.
        given_back: tables of pg_partman that its owner may use again.
    """

    found: str | None
    version: str
    given_back: tuple[str, ...] = ()


def initialise(address: Address) -> Changed:
    """Make the tables in an empty database.

    Raises:
        Conflict: there are some, or some of others that are called like them.
        InvalidInput: the role may not, or pg_partman is there in another schema.
        Unavailable: the database is away.
    """
    if isinstance(address, Path):
        address.parent.mkdir(parents=True, exist_ok=True)
    with _changing(address, "db init") as db:
        found = version_of(db)
        if found is not None:
            raise Conflict(
                "the database has tables of Tidegate's already",
                subject=shown(address),
                expected="an empty database",
                got=f"schema version {found}",
                hint="see them with: tidegate db check; bring them to date with: tidegate db upgrade",
            )
        if db.dialect.name != "sqlite":
            refuse_elsewhere(db)
        return Changed(*bring_to_date(db, address))


def upgrade(address: Address) -> Changed:
    """Bring the tables to today's version; nothing is done to those that are.

    In PostgreSQL the owner may use pg_partman again, where an update of it has taken that away.

    Raises:
        InvalidInput: there are none, or the role may not.
        Unavailable: they are of a newer Tidegate, or the database is away.
    """
    _require_file(address)
    with _changing(address, "db upgrade") as db:
        if version_of(db) is None:
            raise InvalidInput(
                "the database has no tables of Tidegate's",
                subject=shown(address),
                hint="make them with: tidegate db init",
            )
        # First: it is as the owner that partitions are made.
        given_back = () if db.dialect.name == "sqlite" else give_back(db)
        return Changed(*bring_to_date(db, address), given_back)


@contextmanager
def opened_as_is(address: Address) -> Iterator[Database]:
    """Give a database that has today's tables, and close it.

    Raises:
        InvalidInput: it has none.
        NotFound: there is no such file.
        Unavailable: they are of another version, or the database is away.
    """
    _require_file(address)
    database = connected(address)
    try:
        with _allowed("--store", _MEMBER), database.read() as db:
            found = version_of(db)
        if found is None:
            raise InvalidInput(
                "the database has no tables of Tidegate's",
                subject=shown(address),
                hint="make them with: tidegate db init",
            )
        if found != VERSION:
            raise Unavailable(
                "the store's schema is of another version of Tidegate",
                subject=shown(address),
                expected=f"schema version {VERSION}",
                got=f"schema version {found}",
                hint="bring it to date with: tidegate db upgrade; or upgrade this installation",
            )
        yield database
    finally:
        database.close()


def check(address: Address) -> list[Finding]:
    """Compare a database with what this Tidegate makes; nothing is changed.

    Raises:
        InvalidInput: the role may not read which version it is.
        NotFound: there is no such file.
        Unavailable: the database is away.
    """
    _require_file(address)
    database = connected(address)
    try:
        with _allowed("db check", _MEMBER), database.read() as db:
            if database.is_sqlite:
                return list(_of_file(db))
            version = _version(db)
            if version.level is Level.FAIL:
                return [version]
            compared = _compared(catalogue.facts(db), catalogue.expected(), (_MAKE, _CHANGE_BACK))
            return [version, *compared, _roles(db), _extension(db), *_partitions(db)]
    except Damaged as error:  # as it was opened: there is nothing more to see
        return [_damaged(str(error.got))]
    finally:
        database.close()


@contextmanager
def _changing(address: Address, command: str) -> Iterator[Connection]:
    database = connected(address)
    try:
        with _allowed(command, _SUPERUSER), database.write() as db:
            if not database.is_sqlite:
                db.execute(text("SET LOCAL statement_timeout = 0"))
            yield db
    finally:
        database.close()


@contextmanager
def _allowed(subject: str, who: tuple[str, str]) -> Iterator[None]:
    """Raise InvalidInput where PostgreSQL does not let the role do what it is asked for.

    Args:
        who: who may, and what helps.
    """
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        expected, hint = who
        message = f"the role may not do this: {str(error.orig).strip()}"
        raise InvalidInput(message, subject=subject, expected=expected, hint=hint) from error


def _require_file(address: Address) -> None:
    if isinstance(address, Path) and not address.is_file():
        raise NotFound(
            f"there is no store at {address}",
            subject=str(address),
            hint="name one with --store or TIDEGATE_STORE; `tidegate up` and `tidegate db init` make one",
        )


def _version(db: Connection) -> Finding:
    found = version_of(db)
    if found == VERSION:
        return Finding("version", Level.PASS, f"schema version {found}")
    if found is None:
        return Finding("version", Level.FAIL, "there are no tables of Tidegate's", "tidegate db init")
    reason = f"schema version {found}; this Tidegate is of {VERSION}"
    fix = "tidegate db upgrade" if found < VERSION else "upgrade this installation"
    return Finding("version", Level.FAIL, reason, fix)


def _compared(found: frozenset[str], expected: frozenset[str], fixes: tuple[str, str]) -> Iterator[Finding]:
    """Compare the facts of a database with those of today's schema.

    Args:
        fixes: of what is missing, and of what is another one.
    """
    missing, unknown = expected - found, found - expected
    # Of an object that is there and is another one, both facts are told.
    there = {catalogue.object_of(fact) for fact in found}
    lacking = sorted({catalogue.object_of(fact) for fact in missing})
    changed = [one for one in lacking if one in there]
    gone = _without_parts([one for one in lacking if one not in there])
    if gone:
        yield Finding("tables", Level.FAIL, f"missing: {_named(gone)}", fixes[0])
    if changed:
        told = [f"{one} (expected: {_one_of(missing, one)}; found: {_one_of(unknown, one)})" for one in changed]
        yield Finding("tables", Level.FAIL, f"changed: {_named(told)}", fixes[1])
    if not missing:
        yield Finding("tables", Level.PASS, f"as this Tidegate makes them ({len(expected)} facts compared)")
    added = sorted({catalogue.object_of(fact) for fact in unknown} - set(changed))
    if added:
        yield Finding("additions", Level.WARN, f"not of Tidegate's: {_named(added)}")


def _without_parts(names: list[str]) -> list[str]:
    """Leave away what can only be missing as well: columns, indexes and privileges of tables that are."""
    tables = [name.removeprefix("table ") for name in names if name.startswith("table ")]
    return [name for name in names if not any(f" {table}." in name or f" on {table} to " in name for table in tables)]


def _one_of(facts: frozenset[str], name: str) -> str:
    found = sorted(fact for fact in facts if catalogue.object_of(fact) == name)
    return " and ".join(fact.removeprefix(name).strip() or "there" for fact in found) or "nothing of it"


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_file(db: Connection) -> Iterator[Finding]:
    """Check a SQLite file; of a damaged one what can be read of it."""
    file = _file(db)
    try:
        version = _version(db)
        yield version
        if version.level is not Level.FAIL:
            found, expected = file_catalogue.facts(db), file_catalogue.expected()
            yield from _compared(found, expected, (_way_back(found, expected), _RESTORE))
    except Damaged as error:
        file = _damaged(str(error.got)) if file.level is Level.PASS else file
    yield file


def _way_back(found: frozenset[str], expected: frozenset[str]) -> str:
    """Return what helps where something of a file is missing; indexes and triggers can be made as they were."""
    there = {catalogue.object_of(fact) for fact in found}
    gone = sorted({catalogue.object_of(fact) for fact in expected} - there)
    makers = file_catalogue.makers() if gone else {}
    statements = [makers.get(one) for one in gone]
    known = [one for one in statements if one is not None]
    return f"run in it, e.g. by sqlite3: {'; '.join(known)};" if len(known) == len(gone) else _RESTORE


def _file(db: Connection) -> Finding:
    try:
        said = str(db.execute(text("PRAGMA quick_check(1)")).scalar_one())
    except Damaged as error:
        return _damaged(str(error.got))
    return (
        Finding("file", Level.PASS, "sound")
        if said == "ok"
        else _damaged(said.removeprefix("*** in database main ***"))
    )


def _damaged(said: str) -> Finding:
    return Finding("file", Level.FAIL, f"damaged: {' '.join(said.split())}", _RESTORE)


def _roles(db: Connection) -> Finding:
    query = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) AND pg_has_role(oid, 'MEMBER')")
    mine = sorted(db.execute(query, {"roles": list(ROLES)}).scalars())
    name, is_super = db.execute(text("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")).one()
    if is_super:
        return Finding("role", Level.PASS, f"{name} is a superuser, for `db init` and `db upgrade`; serve as another")
    if mine:
        return Finding("role", Level.PASS, f"{name} is a member of {', '.join(mine)}")
    return Finding("role", Level.WARN, f"{name} is a member of none of {', '.join(ROLES)}", f"GRANT a role TO {name}")


def _extension(db: Connection) -> Finding:
    installed = db.execute(
        text("SELECT extversion FROM pg_extension WHERE extname = 'pg_partman'")
    ).scalar_one_or_none()
    if installed is None:
        fix = f"{_BY_ITSELF}, run it each day, e.g. by cron: {_MAINTAIN}"
        return Finding("pg_partman", Level.PASS, "not installed; partitions are plain ones", fix)
    if missing := withheld(db):
        reason = f"{installed}, of which {OWNER} may not use {_named(list(missing))}, as after an update from version 4"
        return Finding("pg_partman", Level.FAIL, reason, "as a superuser: tidegate db upgrade")
    # Neither true nor false where there is no such schema: it is in another one.
    if db.execute(text("SELECT has_schema_privilege(to_regnamespace('partman'), 'USAGE')")).scalar_one() is False:
        return Finding("pg_partman", Level.PASS, f"{installed}; what it manages this role may not see")
    strangers = [table.fullname for table, _, _ in PARTITIONED if not is_managed(db, table)]
    if strangers:
        reason = f"{installed}, which does not manage {', '.join(strangers)}"
        return Finding("pg_partman", Level.WARN, reason, f"{_BY_ITSELF}, run it each day: {_MAINTAIN}")
    # Told to superusers and members of pg_read_all_settings alone.
    query = text("SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'")
    loaded = db.execute(query).scalar_one_or_none()
    if loaded is None:
        reason = f"{installed}; whether its background worker runs this role may not see"
        return Finding("pg_partman", Level.PASS, reason)
    if "pg_partman_bgw" in loaded:
        return _worker(db, installed)
    fix = f"shared_preload_libraries = 'pg_partman_bgw'; or, {_BY_ITSELF}, run it each day: {_MAINTAIN}"
    return Finding("pg_partman", Level.PASS, f"{installed}, without its background worker", fix)


def _worker(db: Connection, installed: str) -> Finding:
    """Say whether pg_partman's background worker, which is loaded, may do its work here, and may do no more."""
    query = text(
        "SELECT current_database() AS here, current_setting('pg_partman_bgw.dbname', true) AS names,"
        " current_setting('pg_partman_bgw.role', true) AS role"
    )
    here, names, role = db.execute(query).one()
    if here not in [name.strip() for name in (names or "").split(",")]:
        reason = f"{installed}, whose background worker looks after {names or 'no database'} and not after {here}"
        fix = f"add it to pg_partman_bgw.dbname; or, {_BY_ITSELF}, run it each day: {_MAINTAIN}"
        return Finding("pg_partman", Level.PASS, reason, fix)
    query = text(
        "SELECT rolsuper, rolcanlogin, pg_has_role(oid, CAST(:owner AS regrole), 'USAGE') AS may FROM pg_roles"
        " WHERE rolname = :role"
    )
    found = db.execute(query, {"owner": OWNER, "role": role}).one_or_none()
    reason = f"{installed}, whose background worker is to run as {role}, "
    if found is None:
        return Finding("pg_partman", Level.FAIL, f"{reason}which there is not", _keeper(role))
    if not found.rolcanlogin:
        return Finding("pg_partman", Level.FAIL, f"{reason}which may not log in", f"ALTER ROLE {role} LOGIN")
    if not found.may:
        reason += f"which has not what {OWNER} may do"
        return Finding("pg_partman", Level.FAIL, reason, f"GRANT {OWNER} TO {role}; it must inherit (ALTER ROLE)")
    if found.rolsuper:
        reason += "a superuser: more than it needs, and what it runs others may have a hand in"
        return Finding("pg_partman", Level.WARN, reason, f"{_keeper('keeper')}; pg_partman_bgw.role = 'keeper'")
    return Finding("pg_partman", Level.PASS, f"{installed}, with its background worker as {role}")


def _keeper(role: str) -> str:
    return f"as a superuser: CREATE ROLE {role} LOGIN IN ROLE {OWNER}"


def _partitions(db: Connection) -> Iterator[Finding]:
    now = datetime.now(UTC)
    faults: dict[str, list[str]] = defaultdict(list)
    numbers = 0
    for table, _, _ in PARTITIONED:
        partitions = partitions_of(db, table)
        numbers += len(partitions)
        faults["owner"] += [one.name for one in partitions if one.owner != OWNER]
        periods = [one.period for one in partitions if one.period is not None]
        if not any(one.start <= now < one.end for one in periods):
            faults["today"].append(table.fullname)
        default = default_of(partitions)
        if default is None:
            faults["default"].append(table.fullname)
        else:
            rows = _rows_in(db, default.name)
            if rows is None:
                faults["unseen"].append(default.name)
            elif rows:
                faults["strays"].append(f"{default.name} ({'over ' if rows > _MOST_COUNTED else ''}{rows})")
    if faults["owner"]:
        fix = f"ALTER TABLE … OWNER TO {OWNER}"
        yield Finding("partitions", Level.FAIL, f"not of {OWNER}: {_named(faults['owner'])}", fix)
    if faults["strays"]:
        reason = f"rows that no partition was there for: {_named(faults['strays'])}"
        yield Finding("partitions", Level.FAIL, reason, f"{_MAINTAIN}; rows far ahead are of a clock that was wrong")
    if faults["default"]:
        reason = f"no default partition, so that rows can be refused: {_named(faults['default'])}"
        yield Finding("partitions", Level.FAIL, reason, "make it as in: tidegate db init --print")
    if faults["today"]:
        yield Finding("partitions", Level.WARN, f"none for today: {_named(faults['today'])}", _MAINTAIN)
    if faults["unseen"]:
        reason = f"this role may not read {_named(faults['unseen'])}"
        yield Finding("partitions", Level.WARN, reason, f"check as a member of {OWNER}")
    if not any(faults.values()):
        yield Finding("partitions", Level.PASS, f"{numbers} of {len(PARTITIONED)} tables, and no row without one")


def _rows_in(db: Connection, table: str) -> int | None:
    """Return how many rows there are, one more than are counted at most; None when the role may not look."""
    if not db.execute(text("SELECT has_table_privilege(:name, 'SELECT')"), {"name": table}).scalar_one():
        return None
    query = text(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {_MOST_COUNTED + 1}) AS seen")  # noqa: S608 -- a name of the catalogue
    return int(db.execute(query).scalar_one())
