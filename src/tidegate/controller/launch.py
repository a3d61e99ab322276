"""Starting and ending the controller from outside: what `tidegate up`, `down` and `deploy` do."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psutil

from tidegate.boot import birth_of
from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable
from tidegate.controller.home import Home, no_room, read_json, write_atomically
from tidegate.controller.stage import Stage
from tidegate.gateway.base import DEFAULT_ENVOYS, LOOPBACK
from tidegate.gateway.os_process import OsProcess, find_by_argument, is_locked

DEFAULT_PORT = 8081
DEFAULT_GATEWAY_PORT = 8080
_DEFAULTS: dict[str, int | str] = {
    "host": LOOPBACK,
    "port": DEFAULT_PORT,
    "gateway_host": LOOPBACK,
    "gateway_port": DEFAULT_GATEWAY_PORT,
    "envoys": DEFAULT_ENVOYS,
}
#: Starting takes about two seconds; a machine under load gets much longer.
START_SECONDS = 60.0
#: Ending waits for replicas to drain.
STOP_SECONDS = 60.0
#: Less than this is no room: files are written whole or not at all.
ROOM_BYTES = 64 * 1024
POLL_SECONDS = 0.05
_STORES = ("TIDEGATE_STORE", "TIDEGATE_SERVING_STORE")


@dataclass(frozen=True)
class ControllerInfo:
    """A controller that answers."""

    url: str
    token: str = field(repr=False)
    pid: int
    gateway_url: str


def running(home: Path) -> ControllerInfo | None:
    """Return the controller of this home if its process lives and answers, else None."""
    place = Home(home)
    address = read_json(place.address_file)
    if address is None or _process(address) is None or not _answers(address["url"]):
        return None
    return _info(place, address)


def lives(home: Path) -> bool:
    """Say whether the process of the controller of this home lives; whether it answers, `running` says."""
    address = read_json(Home(home).address_file)
    return address is not None and _process(address) is not None


def ensure_running(
    home: Path,
    port: int | None,
    gateway_port: int | None,
    stage: Stage | None = None,
    *,
    host: str | None = None,
    gateway_host: str | None = None,
    envoys: int | None = None,
    store: str | None = None,
) -> ControllerInfo:
    """Return the controller of this home, starting it in the background when it does not run.

    Args:
        port, gateway_port: for a controller that has to be started; None: those that it had last, else 8081 and 8080.
            0 takes any free port.
        stage: of the rehearsal that the controller is for.
        host, gateway_host: IPv4 addresses to listen on, of a controller that has to be started; None: those that it had
            last, else loopback.
        envoys: of the gateway of a controller that has to be started; None: as many as it had last, else 2.
        store: of a controller that has to be started, see `store.place`; None: as TIDEGATE_STORE says, else as it was.

    Raises:
        InvalidInput: a port is taken, a host is none, or the running controller has other hosts, ports, Envoys or
            another store than those asked for.
        Unavailable: it did not come up; the message ends with what it wrote last.
    """
    place = Home(home)
    asked = {"host": host, "port": port, "gateway_host": gateway_host, "gateway_port": gateway_port, "envoys": envoys}
    _refuse_no_address("--host", host)
    _refuse_no_address("--gateway-host", gateway_host)
    found = running(home)
    if found is not None:
        _refuse_others(place, asked)
        _refuse_other_store(place, store)
        return found
    place.create()
    setup = _setup(place, asked)
    errors = place.logs / "controller.start.log"
    process = _spawn(place, setup, store, errors, *(("--stage", str(stage.root)) if stage is not None else ()))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        info = running(home)
        if info is not None:
            _remember_setup(place)
            return info
        if process.poll() is not None:
            info = _lost_race(home)
            if info is not None:
                return info
            raise _start_error(place, errors)
        time.sleep(POLL_SECONDS)
    raise Unavailable(
        f"the controller did not answer within {START_SECONDS:.0f} s",
        subject=str(home),
        hint=f"see {place.controller_log}",
    )


def stand_by(home: Path, store: str | None = None) -> int:
    """Start a controller in the background that takes over when the one that leads dies; return its pid.

    Raises:
        Unavailable: it ended as it was starting; the message ends with what it wrote last.
    """
    place = Home(home)
    place.create()
    setup = _setup(place, {})
    errors = place.logs / "standby.start.log"
    process = _spawn(place, setup, store, errors, "--standby")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        info = running(home)
        if process.pid in place.standing_by() or (info is not None and info.pid == process.pid):
            return process.pid
        if process.poll() is not None:
            raise _start_error(place, errors)
        time.sleep(POLL_SECONDS)
    raise Unavailable(
        f"the controller was not ready to stand by within {START_SECONDS:.0f} s",
        subject=str(home),
        hint=f"see {place.controller_log}",
    )


def _spawn(
    place: Home, setup: Mapping[str, int | str], store: str | None, errors: Path, *further: str
) -> subprocess.Popen[bytes]:
    # A file, not a pipe: the controller outlives this process and must never block on what nobody reads.
    with errors.open("wb") as stream:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "tidegate.api", "--home", str(place.root)),
                *(word for key, value in setup.items() for word in (_option(key), str(value))),
                *(("--store", _absolute(store)) if store is not None else ()),
                *further,
            ],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            cwd="/",
            env={**os.environ, **{name: _absolute(os.environ[name]) for name in _STORES if os.environ.get(name)}},
        )


def dry_run(home: Path, request: Mapping[str, Any], override_freeze: str | None, by: str) -> dict[str, Any]:
    """Return what `deploy` would do, without a controller; see `controller.preview`, which runs as a process.

    Raises:
        TidegateError: it could not say; the process' own words are in the message.
    """
    command = [sys.executable, "-m", "tidegate.controller.preview", "--home", str(home), "--by", by]
    if override_freeze is not None:
        command += ["--override-freeze", override_freeze]
    done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise TidegateError(f"the dry run ended without an answer: {last[:500]}", subject=str(home)) from None
    if "error" in told:
        error = told["error"]
        details = {key: error.get(key) for key in ("subject", "expected", "got", "hint")}
        raise InvalidInput(error["message"], **details)
    return told


def stop(home: Path, *, keep_containers: bool = False) -> list[str]:
    """End the controller, the gateway and every replica of this home, those of a rehearsal included.

    What is in the store stays.

    Args:
        keep_containers: leave replicas that have containers of their own, and a gateway that has one, to the next
            controller.

    Returns:
        What was ended, for people; empty when nothing ran.
    """
    place = Home(home)
    # First: whoever stays in the foreground would start what is ended here again.
    place.foreground_file.unlink(missing_ok=True)
    ended = clear_stage(Stage(place.rehearsal))
    # Then these: they would take over.
    waiting = place.standing_by()
    standbys = [found for found in find_by_argument("tidegate.api", str(home)) if found.pid in waiting]
    asyncio.run(_end_all(standbys))
    ended += [f"standby (pid {found.pid})" for found in standbys]
    address = read_json(place.address_file)
    process = _process(address) if address is not None else None
    if address is not None and process is not None:
        try:
            # A controller that refuses (its token file was changed) or hangs is ended by signal; what it leaves is
            # ended below.
            is_asked = _asked_to_shut_down(place, address["url"], keep_containers=keep_containers)
            process.wait(STOP_SECONDS if is_asked else 0)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait(5)
        ended.append(f"controller (pid {process.pid})")
    ended += [f"controller (pid {found.pid})" for found in asyncio.run(_end_silent(home))]
    place.address_file.unlink(missing_ok=True)
    if place.root.exists():
        ended += asyncio.run(_stop_orphans(place, keep_containers=keep_containers))
    return ended


def left_on_stage(home: Path) -> bool:
    """Say whether a rehearsal that was killed left something behind below this home."""
    stage = Stage(Home(home).rehearsal)
    return stage.home.exists() and not stage.is_held()


def clear_stage(stage: Stage) -> list[str]:
    """End what runs of a rehearsal and remove its files; return what was ended, for people.

    Whoever still rehearses there finds its controller gone and ends, too.
    """
    if not stage.home.exists():
        return []
    ended = [f"rehearsal: {what}" for what in stop(stage.home)]
    shutil.rmtree(stage.home, ignore_errors=True)
    return ended


def _asked_to_shut_down(place: Home, url: str, *, keep_containers: bool) -> bool:
    query = "?keep_containers=true" if keep_containers else ""
    try:
        with _loopback() as http:
            answer = http.post(f"{url}/v1/shutdown{query}", headers={"Authorization": f"Bearer {place.token()}"})
    except httpx.HTTPError:
        return False
    return answer.is_success


async def _end_silent(home: Path) -> list[OsProcess]:
    """End controllers that have not said where they are: one that is starting would bring back what is ended here."""
    found = find_by_argument("tidegate.api", str(home))
    await _end_all(found)
    return found


async def _end_all(processes: Sequence[OsProcess]) -> None:
    await asyncio.gather(*(process.end(STOP_SECONDS) for process in processes))


async def _stop_orphans(place: Home, *, keep_containers: bool) -> list[str]:
    """End the gateway and replicas that a killed controller left."""
    from tidegate.gateway.opening import open_gateway
    from tidegate.target.opening import open_target

    place.create()
    target = open_target(place.root, open_gateway(place.gateway, os.environ), os.environ)
    return [f"{ref.deployment} revision {ref.revision}" for ref in await target.stop(keep_containers=keep_containers)]


def _setup(place: Home, asked: Mapping[str, int | str | None]) -> dict[str, int | str]:
    known = read_json(_setup_file(place)) or {}
    setup: dict[str, int | str] = {}
    for key, default in _DEFAULTS.items():
        value = asked.get(key)
        setup[key] = type(default)(known.get(key, default)) if value is None else value
    return setup


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _remember_setup(place: Home) -> None:
    """Keep ports and Envoys: a controller that is started again must be where its users know it."""
    address = read_json(place.address_file)
    if address is not None:
        kept = {key: address[key] for key in _DEFAULTS if key in address}
        if read_json(_setup_file(place)) != kept:
            write_atomically(_setup_file(place), json.dumps(kept))


def _setup_file(place: Home) -> Path:
    return place.root / "ports.json"


def _refuse_others(place: Home, asked_for: Mapping[str, int | str | None]) -> None:
    address = read_json(place.address_file) or {}
    for key, default in _DEFAULTS.items():
        asked, running, option = asked_for[key], address.get(key, default), _option(key)
        if asked is not None and asked not in (0, running):
            raise InvalidInput(
                f"the controller of {place.root} runs already, with {option} {running}",
                subject=option,
                expected=str(running),
                got=str(asked),
                hint=f"to change it: tidegate down, then tidegate up {option} {asked}",
            )


def _refuse_no_address(option: str, host: str | None) -> None:
    try:
        ipaddress.IPv4Address(host if host is not None else LOOPBACK)
    except ValueError as error:
        raise InvalidInput(
            f"{option} is no IPv4 address",
            subject=option,
            expected="an address of this machine, such as 10.0.0.5, or 0.0.0.0 for all of them",
            got=host,
        ) from error


def _refuse_other_store(place: Home, asked: str | None) -> None:
    known = (read_json(place.root / "store.json") or {}).get("store", str(place.database))
    if asked is None or _comparable(_absolute(asked)) == _comparable(known):
        return
    raise InvalidInput(
        f"the controller of {place.root} runs already, with another store",
        subject="--store",
        expected=known,
        got=asked,
        hint="that one knows nothing of what is deployed here; to begin with it: tidegate down, then tidegate up",
    )


def _absolute(store: str) -> str:
    """Return a store's address as it is understood in any folder: the controller runs in another one."""
    return store if "://" in store else str(Path(store).expanduser().absolute())


def _comparable(store: str) -> str:
    """Return an address in a form that does not depend on which of its characters are percent-encoded."""
    return unquote(store) if "://" in store else store


def _lost_race(home: Path) -> ControllerInfo | None:
    """When another process started the controller at the same time, wait for that one to answer."""
    place = Home(home)
    deadline = time.monotonic() + START_SECONDS / 4
    while time.monotonic() < deadline and is_locked(place.lock_file):
        info = running(home)
        if info is not None:
            return info
        time.sleep(POLL_SECONDS)
    return running(home)


def _start_error(place: Home, errors: Path) -> TidegateError:
    if shutil.disk_usage(place.root).free < ROOM_BYTES:  # what it had to say there was no room for either
        return no_room(place.root)
    written = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = written[-1] if written else "it wrote nothing"
    try:
        told: dict[str, Any] = json.loads(last)["error"]
    except (ValueError, KeyError, TypeError):
        return Unavailable(
            f"the controller ended as it was starting: {last[:500]}",
            subject=str(place.root),
            hint=f"see {place.controller_log} and {errors}; `tidegate doctor` looks for the usual causes",
        )
    kind = InvalidInput if told.get("code") == "invalid_input" else Unavailable
    details = {key: told.get(key) for key in ("subject", "expected", "got", "hint")}
    return kind(told["message"], **details)


def _process(address: dict[str, Any]) -> psutil.Process | None:
    """Return the process that wrote the address file; None when it is gone, even if its pid was given to another."""
    try:
        process = psutil.Process(address["pid"])
        alive = process.status() != psutil.STATUS_ZOMBIE
        same = birth_of(process.pid) == address["born"]
    except (psutil.NoSuchProcess, KeyError):
        return None
    return process if alive and same else None


def _answers(url: str) -> bool:
    try:
        with _loopback() as http:
            return http.get(f"{url}/healthz").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _loopback() -> httpx.Client:
    """Return a client that knows no proxy and loads no certificates: it speaks to this machine only."""
    return httpx.Client(trust_env=False, verify=False, timeout=2.0)  # noqa: S501 - plain HTTP on loopback


def _info(place: Home, address: dict[str, Any]) -> ControllerInfo:
    return ControllerInfo(address["url"], place.token(), address["pid"], address["gateway_url"])
