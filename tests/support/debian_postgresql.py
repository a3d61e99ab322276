"""Debian's PostgreSQL 15, which may have pg_partman, in a folder of its own; its clock can be set where faketime is."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import URL

from tests.support.postgresql import DEBIAN, VARIABLE, Postgresql
from tests.support.prometheus import until

#: Which major version of pg_partman it must have; without it whichever Debian's has that is installed.
PARTMAN_VARIABLE = "TIDEGATE_TEST_PARTMAN"
_REPOSITORY = Path(__file__).resolve().parents[2]
#: The settings of a server in use.
CONFIG = _REPOSITORY / "stack" / "warehouse" / "postgresql.conf"
_FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_DEFAULT_VERSION = re.compile(r"^default_version\s*=\s*'([^']+)'", re.MULTILINE)


@dataclass(frozen=True)
class Installation:
    """A PostgreSQL 15 below `root`, as Debian's packages lay it out below /usr."""

    root: Path

    @property
    def programs(self) -> Path:
        return self.root / "lib" / "postgresql" / "15" / "bin"

    @property
    def partman(self) -> str | None:
        """The version of pg_partman that CREATE EXTENSION takes; None without it."""
        control = self.root / "share" / "postgresql" / "15" / "extension" / "pg_partman.control"
        if not control.exists():
            return None
        found = _DEFAULT_VERSION.search(control.read_text(encoding="utf-8"))
        assert found is not None, control
        return found[1]

    def has_partman(self, major: str) -> bool:
        return self.partman is not None and self.partman.split(".")[0] == major


def chosen(installations: Sequence[Installation], major: str | None) -> Installation:
    """Return the first that has this major version of pg_partman; the very first where none has, or it may be any."""
    return next((one for one in installations if major is None or one.has_partman(major)), installations[0])


#: None where any will do.
PARTMAN_ASKED = os.environ.get(PARTMAN_VARIABLE) or None
#: Debian's, or a copy of it that scripts/get_partman.sh has made.
INSTALLATION = chosen(
    [Installation(root) for root in (Path("/usr"), *sorted(_REPOSITORY.glob(".tools/partman-*/usr")))], PARTMAN_ASKED
)
PROGRAMS = INSTALLATION.programs


def lacking(
    *,
    partman: bool = False,
    clock: bool = False,
    installation: Installation = INSTALLATION,
    asked: str | None = PARTMAN_ASKED,
) -> str | None:
    """Return what is not installed of the server, pg_partman and what sets its clock; None where all is there."""
    if not (installation.programs / "postgres").exists():
        return f"there is no PostgreSQL in {installation.programs}: apt-get install postgresql-15"
    if partman and installation.partman is None:
        return "pg_partman is not installed: apt-get install postgresql-15-partman"
    if partman and asked is not None and not installation.has_partman(asked):
        return (
            f"pg_partman is {installation.partman} here, and {PARTMAN_VARIABLE} asks for {asked}: "
            "scripts/get_partman.sh builds 5, and Debian's package postgresql-15-partman is 4"
        )
    if clock and not _FAKETIME:
        return "libfaketime is not installed: apt-get install faketime"
    return None


def require(*, partman: bool = False, clock: bool = False) -> None:
    """Skip the test where something is not installed; fail it where Debian's server or a version was asked for."""
    if (what := lacking(partman=partman, clock=clock)) is not None:
        if os.environ.get(VARIABLE) == DEBIAN or PARTMAN_ASKED is not None:
            pytest.fail(what)
        pytest.skip(what)


class Clock:
    """What the server's `now()` says, where it was started with one."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, now: datetime) -> None:
        """Have the time go on from `now`."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"@{now.astimezone(UTC):%Y-%m-%d %H:%M:%S}\n")
        fresh.chmod(0o644)
        fresh.replace(self._file)


class DebianPostgresql(Postgresql):
    """A server of our own, with a socket and no port.

    Args:
        begin: starts its process, which writes into `log`.

    Attributes:
        clock: None unless it was asked for.
    """

    is_ours = True

    def __init__(self, url: URL, begin: Callable[[], subprocess.Popen[bytes]], log: Path, clock: Clock | None) -> None:
        super().__init__(url)
        self.clock = clock
        self._begin, self._log = begin, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = process = self._begin()
        until(lambda: _answers(self.url, process, self._log))

    def kill(self, *others: psutil.Process) -> None:
        super().kill(*others)
        assert self._process is not None
        self._process.wait()

    def stop(self) -> None:
        """End it, and at once what is connected."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid


@contextmanager
def as_in_use() -> Iterator[DebianPostgresql]:
    """Run a server with pg_partman, its background worker and the settings of a server in use, and end it."""
    if (what := lacking(partman=True)) is not None:
        raise RuntimeError(what)
    # The machine that they are for has more memory than those that tests run on.
    with debian_postgresql({"shared_buffers": "128MB"}, config=CONFIG) as running:
        yield running


@contextmanager
def debian_postgresql(
    settings: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
    fake_clock: bool = False,
    data: Path | None = None,
) -> Iterator[DebianPostgresql]:
    """Run a server, and end it.

    Args:
        settings: of postgresql.conf; they win over those of `config`.
        config: a file of settings.
        fake_clock: whether its clock can be set.
        data: the folder of its data, which is made when there is none and stays; None for one that goes with it.

    Raises:
        RuntimeError: something is not installed.
    """
    if (what := lacking(clock=fake_clock)) is not None:
        raise RuntimeError(what)
    # Paths of sockets are short.
    folder = Path(tempfile.mkdtemp(prefix="tg-deb-", dir="/tmp"))
    data, log, clock = data or folder / "data", folder / "server.log", Clock(folder / "clock")
    user = _unprivileged(folder)
    environment = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if not (data / "PG_VERSION").exists():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if user is not None:
            shutil.chown(data, user)
        subprocess.run(
            [PROGRAMS / "initdb", "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-D", data],
            check=True,
            capture_output=True,
            env=environment,
            cwd=folder,
            user=user,
        )
    given = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off", **(settings or {})}
    # What initdb wrote, what is asked for, and what is of this run alone.
    lines = [f"include '{file}'" for file in (data / "postgresql.conf", config) if file is not None]
    lines += [f"{name} = '{value}'" for name, value in given.items()]
    own = folder / "postgresql.conf"
    own.write_text("\n".join([*lines, ""]), encoding="utf-8")
    own.chmod(0o644)
    if fake_clock:
        clock.set(datetime.now(UTC))
        environment |= {
            "LD_PRELOAD": str(_FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    command = [PROGRAMS / "postgres", "-D", data, "-c", f"config_file={own}"]
    url = URL.create("postgresql", "postgres", database="postgres", query={"host": str(folder)})

    def begin() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder, user=user)

    running = DebianPostgresql(url, begin, log, clock if fake_clock else None)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> str | None:
    """Give the folder to who may run a server: root may not."""
    if os.geteuid() != 0:
        return None
    name = pwd.getpwnam("postgres").pw_name
    shutil.chown(folder, name)
    folder.chmod(0o755)
    return name


def _answers(url: URL, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))
    try:
        psycopg.connect(url.render_as_string(hide_password=False), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
