"""Rules on the walls between a container and its machine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from tidegate.dockerfile.model import Dockerfile, Script
from tidegate.dockerfile.words import unquoted
from tidegate.scan.compose.services import ComposeFile, Service
from tidegate.scan.compose.values import Value
from tidegate.scan.records import Hit, Rule, Severity

PRIVILEGED = Rule(
    "privileged",
    Severity.ERROR,
    "A container or a build step is privileged.",
    "It has every device and every right of the machine's root. Grant the one capability or device that is needed.",
)
CAPABILITY = Rule(
    "capability",
    Severity.ERROR,
    "A service gets a capability with which it can leave its container, or its filters are off.",
    "ALL, SYS_ADMIN and their like are as much as root on the machine; seccomp and AppArmor keep the kernel's flaws "
    "out of reach.",
)
HOST_NETWORK = Rule(
    "host-network",
    Severity.ERROR,
    "A service or a build step is on the machine's own network, or in another of its namespaces.",
    "Every port that listens on 127.0.0.1 of the machine is in reach, and networks do not separate it from anything. "
    "Publish the port instead.",
)
DOCKER_SOCKET = Rule(
    "docker-socket",
    Severity.ERROR,
    "The socket of the container engine is in reach of a container.",
    "Who may write to it starts a privileged container, and is root on the machine; to mount it read-only changes "
    "nothing. Put a proxy between that lets through what is needed.",
)
WRITABLE_ROOT = Rule(
    "writable-root",
    Severity.WARNING,
    "A service can write to its image's files.",
    "Who breaks in can leave something there. Set `read_only: true`, with `tmpfs` and volumes for what it must write.",
)

_CAPABILITIES: Final = frozenset(
    {"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF", "SYS_BOOT"}
)
_SOCKETS: Final = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/var/run/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/var/run/podman/podman.sock",
    "/run/podman/podman.sock",
    "/var/run/crio/crio.sock",
    "/run/crio/crio.sock",
)
_ENGINES: Final = frozenset({"docker", "podman", "nerdctl"})
_NAMESPACES: Final = ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup")


def in_dockerfile(file: Dockerfile) -> Iterator[Hit]:
    for instruction in file.instructions:
        if instruction.keyword == "RUN":
            if instruction.flag("security") == "insecure":
                yield Hit(PRIVILEGED, instruction.line, "RUN --security=insecure is a privileged build step")
            if instruction.flag("network") == "host":
                yield Hit(HOST_NETWORK, instruction.line, "RUN --network=host is on the machine's own network")
            for mount in instruction.all_flags("mount"):
                if any(_reaches_socket(part.partition("=")[2]) for part in mount.split(",")):
                    yield Hit(DOCKER_SOCKET, instruction.line, "RUN --mount takes the engine's socket")
        elif instruction.keyword == "VOLUME":
            for word in instruction.words:
                if unquoted(word.text, instruction.escape) in _SOCKETS:
                    yield Hit(DOCKER_SOCKET, instruction.line, f"VOLUME {word.text} is the engine's socket")
    for script in file.scripts:
        yield from _started_by(script)


def in_compose(file: ComposeFile) -> Iterator[Hit]:
    for service in file.services:
        yield from _rights(file, service)
        yield from _namespaces(file, service)
        for mount in service.mounts(file):
            if _reaches_socket(mount.source):
                message = f"service {service.name} mounts {mount.source}: the engine's socket is in reach"
                yield Hit(DOCKER_SOCKET, mount.line, message)
        if service.is_whole:
            read_only = service.value("read_only")
            if read_only is None or read_only.is_false:
                line = service.line if read_only is None else read_only.line
                yield Hit(WRITABLE_ROOT, line, f"service {service.name} can write to its root; set read_only: true")


def _started_by(script: Script) -> Iterator[Hit]:
    """Yield what the containers are given that a RUN starts."""
    for command in script.commands:
        words = command.arguments
        if command.program not in _ENGINES or not {"run", "create"} & set(words[:2]):
            continue
        line = script.line_of(command)
        if "--privileged" in words or "--privileged=true" in words:
            yield Hit(PRIVILEGED, line, f"{command.program} run --privileged in a RUN")
        for option, value in _valued(words):
            if option in ("--network", "--net", "--pid", "--ipc") and value == "host":
                yield Hit(HOST_NETWORK, line, f"{command.program} run {option} host in a RUN")
            elif option in ("-v", "--volume") and _reaches_socket(value.partition(":")[0]):
                yield Hit(DOCKER_SOCKET, line, f"{command.program} run {option} {value} in a RUN")


def _valued(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield options with their values, `--a=b` and `--a b` alike."""
    for word, following in pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option.startswith("-"):
            yield option, value if equals else following


def _reaches_socket(path: str) -> bool:
    """True where a path is an engine's socket, or a folder that such a socket is in."""
    if not path.startswith("/"):
        return False
    normal = posixpath.normpath(path)
    return any(socket == normal or socket.startswith(normal.rstrip("/") + "/") for socket in _SOCKETS)


def _rights(file: ComposeFile, service: Service) -> Iterator[Hit]:
    privileged = service.value("privileged")
    if privileged is not None and (file.resolved(privileged) or "").lower() in ("true", "yes", "on"):
        yield Hit(PRIVILEGED, privileged.line, f"service {service.name} is privileged")
    for item in _items(service.value("cap_add")):
        name = (file.resolved(item) or "").upper().removeprefix("CAP_")
        if name in _CAPABILITIES:
            yield Hit(CAPABILITY, item.line, f"service {service.name} gets the capability {name}")
    for item in _items(service.value("security_opt")):
        option = (file.resolved(item) or "").lower().replace("=", ":")
        if option in ("seccomp:unconfined", "apparmor:unconfined", "label:disable", "no-new-privileges:false"):
            yield Hit(CAPABILITY, item.line, f"service {service.name} runs with {option}")


def _namespaces(file: ComposeFile, service: Service) -> Iterator[Hit]:
    for key in _NAMESPACES:
        value = service.value(key)
        if value is not None and file.resolved(value) == "host":
            yield Hit(HOST_NETWORK, value.line, f"service {service.name} has {key}: host")


def _items(value: Value | None) -> tuple[Value, ...]:
    return value.items if value is not None else ()
