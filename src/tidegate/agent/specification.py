"""From what the controller asks for to what the engine is told: everything that a replica's container may be. Pure.

What is asked for can choose the replica's name, the words behind the server's command, the values of some variables and
whether it gets some secrets. Nothing of it can name an image, a mount, a network, a user, a right or a limit: those are
the agent's own (`Place`, `Limits`), the same for every replica.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.contract.names import NAME_PATTERN

#: Where replicas listen, each at an address of its own.
HTTP_PORT, GRPC_PORT = 8080, 8082

#: Of the containers that are ours; the first has the project as its value.
PROJECT_LABEL, DEPLOYMENT_LABEL, REVISION_LABEL, INDEX_LABEL, IMAGE_LABEL = (
    "tidegate.project",
    "tidegate.deployment",
    "tidegate.revision",
    "tidegate.replica",
    "tidegate.image",
)

#: By these and its project Compose takes a container for one of the service `replica`, of which it starts none itself:
#: so `docker compose ps`, `logs` and `--profile replica down` know it.
_COMPOSE_LABELS = {
    "com.docker.compose.service": "replica",
    "com.docker.compose.oneoff": "False",
    "com.docker.compose.config-hash": "of the agent",
    "com.docker.compose.container-number": "1",
}

USER = "10001:10001"
SERVER, SUPERVISOR = "tidegate.server", "tidegate.server.supervisor"

#: Variables whose values may be asked for.
VARIABLES = frozenset({"TIDEGATE_STORE", "TIDEGATE_PREDICTION_LOG_KEY"})
#: Those that every replica has. A process with several threads answers as many requests side by side, each on one
#: thread, so numeric libraries get none of their own.
_FIXED_VARIABLES = {
    **dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OMP_THREAD_LIMIT",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS",
        ),
        "1",
    ),
    "PYTHONUNBUFFERED": "1",
    "PGPASSFILE": "/tmp/pgpass",  # noqa: S108 -- written by the image's entrypoint, in a tmpfs of this container
}

#: Secrets that may be asked for; files that the agent has as well.
SECRETS = frozenset({"replica_password", "redis_password"})
SECRETS_FOLDER = "/run/secrets"
#: Folders of the agent that replicas have, too, and whether they may write there.
BUNDLES_FOLDER, SHARED_FOLDER = "/var/lib/tidegate/bundles", "/var/lib/tidegate/containers"
FOLDERS = {BUNDLES_FOLDER: False, SHARED_FOLDER: True}

MOST_REPLICAS_OF_A_REVISION = 64
_MOST_REVISIONS = 10**9
_MOST_WORDS, _LONGEST_TEXT = 256, 8192
_TEXT = re.compile(r"[^\x00-\x1f\x7f]*")
_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, order=True)
class ReplicaKey:
    """Which replica: of a deployment's revision, by its index."""

    deployment: str
    revision: int
    index: int

    def __str__(self) -> str:
        return f"{self.deployment}.{self.revision}.{self.index}"


@dataclass(frozen=True)
class Specification:
    """A replica that is asked for, within bounds.

    Attributes:
        is_supervised: several processes under a supervisor.
        arguments: of the server, or of its supervisor.
        environment: values of some of `VARIABLES`.
        secrets: some of `SECRETS`.
    """

    key: ReplicaKey
    is_supervised: bool = False
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    secrets: frozenset[str] = frozenset()

    def as_document(self) -> dict[str, Any]:
        """Return the form in which it is asked for; `parse` reads it back."""
        return {
            "deployment": self.key.deployment,
            "revision": self.key.revision,
            "index": self.key.index,
            "supervised": self.is_supervised,
            "arguments": list(self.arguments),
            "environment": dict(self.environment),
            "secrets": sorted(self.secrets),
        }


@dataclass(frozen=True)
class Mount:
    """What a container sees of a volume or of a file of the machine."""

    kind: str
    source: str
    target: str
    is_writable: bool = False


@dataclass(frozen=True)
class Place:
    """Where replicas run.

    Attributes:
        project: of Compose; its name is in that of every container, and in a label.
        image: the id of the one image, which is the agent's own.
        image_name: its name, for people.
        network: the one network.
        folders: the agent's mounts at `FOLDERS`.
        secrets: the agent's mounts of secrets, by name.
    """

    project: str
    image: str
    image_name: str
    network: str
    folders: tuple[Mount, ...]
    secrets: Mapping[str, Mount]


@dataclass(frozen=True)
class Limits:
    """What one replica may take, and how many there may be."""

    memory_bytes: int
    cpus: float
    processes: int = 512
    replicas: int = 64
    temporary_bytes: int = 256 << 20


def parse(document: Any) -> Specification:
    """Return what a document asks for.

    Raises:
        InvalidInput: it asks for anything else than a replica within bounds.
    """
    if not isinstance(document, dict):
        raise _refused("the document", "an object", document)
    known = {"deployment", "revision", "index", "supervised", "arguments", "environment", "secrets"}
    if unknown := sorted(str(key) for key in document if key not in known):
        raise _refused(", ".join(unknown)[:200], f"nothing but {', '.join(sorted(known))}", "another field")
    key = parse_key(document.get("deployment"), document.get("revision"), document.get("index"))
    supervised = document.get("supervised", False)
    if not isinstance(supervised, bool):
        raise _refused("supervised", "true or false", supervised)
    return Specification(
        key,
        supervised,
        _arguments(document.get("arguments", [])),
        _environment(document.get("environment", {})),
        _secrets(document.get("secrets", [])),
    )


def parse_key(deployment: Any, revision: Any, index: Any) -> ReplicaKey:
    """Return the replica that is meant; raises InvalidInput where none can be."""
    if not isinstance(deployment, str) or _NAME.fullmatch(deployment) is None:
        raise _refused("deployment", "the name of a deployment", deployment)
    if type(revision) is not int or not 1 <= revision <= _MOST_REVISIONS:
        raise _refused("revision", "a number from 1", revision)
    if type(index) is not int or not 0 <= index < MOST_REPLICAS_OF_A_REVISION:
        raise _refused("index", f"a number from 0 to {MOST_REPLICAS_OF_A_REVISION - 1}", index)
    return ReplicaKey(deployment, revision, index)


def parse_name(name: str) -> ReplicaKey:
    """Return the replica of a name such as `churn.3.0`; raises InvalidInput where it is none."""
    deployment, *numbers = name.split(".")
    if len(numbers) != 2 or not all(re.fullmatch("[0-9]{1,10}", number) for number in numbers):
        raise _refused("the replica", "DEPLOYMENT.REVISION.INDEX", name)
    return parse_key(deployment, int(numbers[0]), int(numbers[1]))


def key_of(labels: Mapping[str, str], project: str) -> ReplicaKey | None:
    """Return the replica that a container is by its labels; None where it is none of this project's."""
    if labels.get(PROJECT_LABEL) != project:
        return None
    try:
        numbers = int(labels[REVISION_LABEL]), int(labels[INDEX_LABEL])
        return parse_key(labels[DEPLOYMENT_LABEL], *numbers)
    except (KeyError, ValueError, InvalidInput):
        return None


def container_name(project: str, key: ReplicaKey) -> str:
    return f"{project}-replica-{key}"


def container(asked: Specification, place: Place, limits: Limits) -> dict[str, Any]:
    """Return the body with which the engine makes the replica's container (`POST /containers/create`).

    Raises:
        InvalidInput: it asks for a secret that the agent does not have.
    """
    if missing := sorted(asked.secrets - set(place.secrets)):
        raise _refused("secrets", "those that the agent has itself", ", ".join(missing))
    module = SUPERVISOR if asked.is_supervised else SERVER
    mounts = [*place.folders, *(place.secrets[name] for name in sorted(asked.secrets))]
    return {
        "Image": place.image,
        # Its entrypoint stays: it makes of secrets what libpq and Redis' client read.
        "Cmd": ["python", "-m", module, *asked.arguments],
        "User": USER,
        "Env": [f"{name}={value}" for name, value in {**dict(asked.environment), **_FIXED_VARIABLES}.items()],
        "Labels": {
            PROJECT_LABEL: place.project,
            DEPLOYMENT_LABEL: asked.key.deployment,
            REVISION_LABEL: str(asked.key.revision),
            INDEX_LABEL: str(asked.key.index),
            IMAGE_LABEL: place.image_name,
            **_COMPOSE_LABELS,
            "com.docker.compose.project": place.project,
        },
        # The gateway asks a replica how it is, several times a second.
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGTERM",
        "HostConfig": {
            "NetworkMode": place.network,
            "Mounts": [_mount(mount) for mount in mounts],
            "Tmpfs": {"/tmp": f"size={limits.temporary_bytes},mode=1777"},  # noqa: S108 -- the container's own
            "ReadonlyRootfs": True,
            "Privileged": False,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "Memory": limits.memory_bytes,
            # As much as that with swap: none.
            "MemorySwap": limits.memory_bytes,
            "NanoCpus": round(limits.cpus * 1e9),
            "PidsLimit": limits.processes,
            # Who starts a replica again is the controller, which counts its deaths.
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "2"}},
        },
    }


def _mount(mount: Mount) -> dict[str, Any]:
    bound = {"Type": mount.kind, "Source": mount.source, "Target": mount.target, "ReadOnly": not mount.is_writable}
    return {**bound, "VolumeOptions": {"NoCopy": True}} if mount.kind == "volume" else bound


def _arguments(found: Any) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > _MOST_WORDS:
        raise _refused("arguments", f"a list of at most {_MOST_WORDS} words", found)
    return tuple(_text("arguments", word) for word in found)


def _environment(found: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, dict) or not set(found) <= VARIABLES:
        raise _refused("environment", f"an object with none but {', '.join(sorted(VARIABLES))}", "something else")
    # The value may be a secret: it is not repeated.
    return tuple((name, _text(f"environment.{name}", found[name], "not shown")) for name in sorted(found))


def _secrets(found: Any) -> frozenset[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) and name in SECRETS for name in found):
        raise _refused("secrets", f"a list of none but {', '.join(sorted(SECRETS))}", found)
    return frozenset(found)


def _text(what: str, found: Any, shown: str | None = None) -> str:
    if not isinstance(found, str) or len(found) > _LONGEST_TEXT or _TEXT.fullmatch(found) is None:
        expected = f"text of at most {_LONGEST_TEXT} characters, without control characters"
        raise _refused(what, expected, found if shown is None else shown)
    return found


def _refused(what: str, expected: str, got: Any) -> InvalidInput:
    return InvalidInput(
        f"the agent starts no such container: {what} is not what it may be",
        subject=what,
        expected=expected,
        got=str(got)[:200],
    )
