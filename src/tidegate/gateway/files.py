"""The folder that the Envoys read their configuration from, and what we keep in it to know what they were last told.

Every file is written beside and renamed into place, which is what Envoy watches for. `snapshot.json` is written first
and Envoy's own files follow from it: when a crash comes between, the next start finishes what was decided.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.gateway import resources
from tidegate.gateway.base import Endpoint, Forced, RevisionRef, Snapshot, Sticky, Trial
from tidegate.gateway.resources import ClusterKey

EMPTY = Snapshot(endpoints={}, splits={}, timeout_seconds={})


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file in one step; a reader sees the old content or the new one."""
    with _beside(path, json.dumps(document, separators=(",", ":"))) as written:
        written.replace(path)


@contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """Write a file to be renamed to `path`; one that could not be written whole, on a full disk, is taken away."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        yield beside
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the content of the file; None when it is missing or no JSON object."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return document if isinstance(document, dict) else None


class Put(NamedTuple):
    """The version that Envoy reports once it has read a file, and whether the file had to be written."""

    version: str
    changed: bool


class MemberFolder:
    """What one of the gateway's Envoys has to itself: how it was started, what it says, whom it served."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.bootstrap = self.root / "bootstrap.json"
        self.record = self.root / "envoy.json"
        self.log = self.root / "envoy.log"
        self.served = self.root / "served.log"
        self.admin_address = self.root / "admin-address"

    def prepare(self) -> None:
        """Make the folder, readable by the owner only."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)


class GatewayFolder:
    """What all of the gateway's Envoys read. Each `put_` writes only what differs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder.absolute()
        self.bootstrap = self.root / "bootstrap.json"
        self.routes = self.root / "routes.json"
        self.clusters = self.root / "clusters.json"
        self.endpoints = self.root / "endpoints"
        self._snapshot = self.root / "snapshot.json"

    def prepare(self) -> None:
        """Make the folder, readable by the owner only: whoever writes in it says where requests go."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.endpoints.mkdir(mode=0o700, exist_ok=True)

    def member(self, number: int) -> MemberFolder:
        """Return the folder of one Envoy, counted from 1."""
        return MemberFolder(self.root / f"envoy-{number}")

    def members(self) -> list[int]:
        """Return the numbers of the Envoys that have a folder, whether they run or not."""
        return sorted(int(name) for folder in self.root.glob("envoy-*") if (name := folder.name[6:]).isdecimal())

    def load_snapshot(self) -> Snapshot:
        """Return the snapshot that was last asked for, an empty one at first."""
        document = read_json(self._snapshot)
        return EMPTY if document is None else snapshot_from_dict(document)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        document = snapshot_as_dict(snapshot)
        if read_json(self._snapshot) != document:
            write_json(self._snapshot, document)

    def put_routes(self, snapshot: Snapshot) -> Put:
        return _put(self.routes, [resources.route_configuration(snapshot)])

    def put_clusters(self, keys: Collection[ClusterKey]) -> Put:
        return _put(self.clusters, [resources.cluster(key, self.endpoints) for key in sorted(keys)])

    def put_endpoints(self, key: ClusterKey, replicas: Collection[tuple[Endpoint, bool]]) -> Put:
        path = self.endpoints / resources.endpoints_file(key)
        return _put(path, [resources.load_assignment(key, replicas)])

    def drop_endpoints(self, key: ClusterKey) -> None:
        (self.endpoints / resources.endpoints_file(key)).unlink(missing_ok=True)

    def known_clusters(self) -> set[ClusterKey]:
        """Return the clusters that Envoy was last told of."""
        document = read_json(self.clusters) or {}
        found = (resources.parse_cluster_name(item["name"]) for item in document.get("resources", ()))
        return {key for key in found if key is not None}


def _put(path: Path, listed: list[resources.Resource]) -> Put:
    version, text = resources.discovery_file(listed)
    changed = not _begins_with(path, text[: text.index(",")])
    if changed:
        with _beside(path, text) as written:
            # To rename over a file makes some file systems write it out first, which takes milliseconds on a busy disk.
            # Unlike the snapshot this file may be missing after a crash: every start makes it anew.
            path.unlink(missing_ok=True)
            written.replace(path)
    return Put(version, changed)


def _begins_with(path: Path, text: str) -> bool:
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(len(text)) == text
    except FileNotFoundError:
        return False


def snapshot_as_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Return the JSON form of a snapshot; `snapshot_from_dict` reads it back."""
    return {
        "endpoints": [
            {
                "deployment": ref.deployment,
                "revision": ref.revision,
                "replicas": [_replica_as_dict(*replica) for replica in snapshot.replicas(ref)],
            }
            for ref in sorted(snapshot.endpoints)
        ],
        "splits": {
            name: {str(revision): weight for revision, weight in sorted(split.items())}
            for name, split in sorted(snapshot.splits.items())
        },
        "timeout_seconds": dict(sorted(snapshot.timeout_seconds.items())),
        "trials": {
            name: {"revision": trial.revision, "mirror": trial.mirror, "noted": trial.noted}
            for name, trial in sorted(snapshot.trials.items())
        },
        "sticky": {
            name: {"header": sticky.header, "cookie": sticky.cookie} for name, sticky in sorted(snapshot.sticky.items())
        },
        "shares": {name: [list(piece) for piece in shares] for name, shares in sorted(snapshot.shares.items())},
        "forced": {name: [vars(one) for one in listed] for name, listed in sorted(snapshot.forced.items())},
    }


def _replica_as_dict(endpoint: Endpoint, is_ready: bool) -> dict[str, Any]:
    grpc = {} if endpoint.grpc_port is None else {"grpc_port": endpoint.grpc_port}
    unready = {} if is_ready else {"unready": True}
    return {"host": endpoint.host, "port": endpoint.port, **grpc, **unready}


def _endpoint_of(replica: Mapping[str, Any]) -> Endpoint:
    return Endpoint(replica["host"], replica["port"], replica.get("grpc_port"))


def snapshot_from_dict(document: Mapping[str, Any]) -> Snapshot:
    """Read the JSON form of a snapshot."""
    return Snapshot(
        endpoints={
            RevisionRef(item["deployment"], item["revision"]): tuple(map(_endpoint_of, item["replicas"]))
            for item in document["endpoints"]
        },
        splits={
            name: {int(revision): weight for revision, weight in split.items()}
            for name, split in document["splits"].items()
        },
        timeout_seconds=dict(document["timeout_seconds"]),
        trials={name: Trial(**trial) for name, trial in document.get("trials", {}).items()},
        sticky={name: Sticky(**sticky) for name, sticky in document.get("sticky", {}).items()},
        unready={
            RevisionRef(item["deployment"], item["revision"]): unready
            for item in document["endpoints"]
            if (unready := frozenset(_endpoint_of(replica) for replica in item["replicas"] if replica.get("unready")))
        },
        shares={
            name: tuple((revision, size) for revision, size in pieces)
            for name, pieces in document.get("shares", {}).items()
        },
        forced={name: tuple(Forced(**one) for one in listed) for name, listed in document.get("forced", {}).items()},
    )
