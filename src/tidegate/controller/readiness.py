"""Measures what the checks of readiness judge: the machine, the gateway, and what is on record of the deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tidegate.artifact.bundle import Manifest
from tidegate.contract.errors import TidegateError
from tidegate.contract.findings import Finding
from tidegate.contract.request import DeploymentRequest
from tidegate.controller import freezing, ports, registering, sizing
from tidegate.controller.freezing import Override
from tidegate.controller.home import Home
from tidegate.controller.reconcile import Seen
from tidegate.gate import readiness
from tidegate.gate.machine import inotify_left, measure, taken_ports
from tidegate.gate.vulnerabilities import known_vulnerabilities
from tidegate.rollout import Rollout
from tidegate.store import DeploymentRow, FreezeRow, Registry, RevisionRow, Store
from tidegate.target.base import RevisionHealth, Target


@dataclass(frozen=True)
class Surroundings:
    """In what a deployment would begin.

    Attributes:
        target: None while the controller does not run.
        stable: the revision that serves under this name, or None.
        is_active: whether a rollout of this name is under way.
        freezes: all that there are.
        running: the revisions that have replicas, of every deployment of the home, each with the deployment's name.
        health: of the deployment's revisions, as far as it is known.
        registry: None where nothing was ever registered.
    """

    home: Home
    target: Target | None
    stable: RevisionRow | None = None
    is_active: bool = False
    freezes: tuple[FreezeRow, ...] = ()
    running: tuple[tuple[str, RevisionRow], ...] = ()
    health: Mapping[int, RevisionHealth] = field(default_factory=dict)
    registry: Registry | None = None


def around(home: Home, store: Store | None, target: Target | None, name: str, seen: Seen | None) -> Surroundings:
    """Return in what a deployment of this name would begin now.

    Args:
        store: None where nothing was ever deployed.
        target, seen: None while the controller does not run.
    """
    if store is None:
        return Surroundings(home, target)
    deployments = store.deployments()
    deployment = next((row for row in deployments if row.name == name), None)
    stable, is_active = None, False
    if deployment is not None:
        is_active = store.active_rollout(deployment.id) is not None
        stable = store.revision(deployment.id, deployment.stable) if deployment.stable is not None else None
    health = seen.health if seen is not None else {}
    running = tuple((row.name, revision) for row in deployments for revision in _running(store, row))
    freezes = tuple(store.freezes.all())
    return Surroundings(home, target, stable, is_active, freezes, running, health, store.registry)


def _running(store: Store, deployment: DeploymentRow) -> list[RevisionRow]:
    """Return the deployment's revisions that have replicas: stable, and those that are on trial."""
    row = store.active_rollout(deployment.id)
    tried = Rollout.from_storage(row.state).on_trial if row is not None else ()
    numbers = sorted({*tried, *([deployment.stable] if deployment.stable is not None else [])})
    return [store.revision(deployment.id, number) for number in numbers]


async def ports_of(surroundings: Surroundings, request: DeploymentRequest) -> Finding:
    """Judge the ports that the candidates want; before they are started to be tried, too."""
    registry, bundles = surroundings.registry, surroundings.home.bundles
    artifacts = [registering.located(one.model_artifact, registry, bundles) for one in request.candidates]
    wanted = await asyncio.to_thread(lambda: [port for one in artifacts if (port := ports.wanted(one)) is not None])
    if not wanted:
        return readiness.ports((), {}, {})
    held = await asyncio.to_thread(ports.held, surroundings.running, surroundings.home.bundles)
    return readiness.ports(wanted, held, taken_ports(wanted))


async def examine(
    surroundings: Surroundings,
    request: DeploymentRequest,
    manifests: Sequence[Manifest],
    override: Override | None,
    now: datetime,
) -> tuple[Finding, ...]:
    """Make every check, in a fixed order; changes nothing.

    Args:
        manifests: of the bundles that are to be tried together, one but for an A/B test; without any, nothing is said
            of memory, throughput and packages.

    Raises:
        InvalidInput: the database of vulnerabilities cannot be read.
    """
    machine = await asyncio.to_thread(measure, surroundings.home.root)
    resources = request.infrastructure.resources
    known = [finding for manifest in manifests for finding in await _vulnerabilities(request, manifest)]
    model_bytes, free = sum(manifest.memory_bytes for manifest in manifests), machine.free_memory_bytes
    capacity = (
        (
            readiness.memory(model_bytes, resources.replicas, resources.workers, free, len(manifests)),
            sizing.throughput(request, manifests, machine.cores),
        )
        if manifests
        else ()
    )
    stable = surroundings.stable
    health = surroundings.health.get(stable.number) if stable is not None else None
    holding = freezing.in_force(surroundings.freezes, request.name, now)
    return (
        *known,
        *capacity,
        readiness.open_files(machine.open_files),
        *_inotify(surroundings, len(request.candidates), machine.inotify_left),
        readiness.disk(machine.free_disk_bytes, str(surroundings.home.root)),
        await ports_of(surroundings, request),
        *await _gateway(surroundings, request.name),
        readiness.way_back(
            stable.number if stable is not None else None,
            has_bundle=stable is not None and (surroundings.home.bundles / stable.digest).exists(),
            ready=health.ready if health is not None else None,
        ),
        readiness.other_rollout(request.name, is_active=surroundings.is_active),
        readiness.freeze([freezing.told(freeze) for freeze in holding], is_overridden=override is not None),
    )


async def examine_return(surroundings: Surroundings) -> tuple[Finding, ...]:
    """Check what would end the gateway when a revision that was stable comes back; all else is no reason to keep it
    away."""
    left = await asyncio.to_thread(inotify_left, Path("/proc"))
    return _inotify(surroundings, 1, left)


def _inotify(surroundings: Surroundings, revisions: int, left: int | None) -> tuple[Finding, ...]:
    if surroundings.target is None:
        return ()
    return (readiness.inotify(left, surroundings.target.watches(revisions)),)


async def _vulnerabilities(request: DeploymentRequest, manifest: Manifest) -> tuple[Finding, ...]:
    """Look for what is known of the candidate's packages, where the request names a database."""
    asked = request.gates.vulnerabilities
    if asked is None:
        return ()
    packages = manifest.environment.packages
    found = await asyncio.to_thread(known_vulnerabilities, packages, Path(asked.database), asked.ignore)
    refuses = asked.on_found == "refuse"
    return (readiness.vulnerabilities([str(one) for one in found], len(packages), refuses=refuses),)


async def _gateway(surroundings: Surroundings, name: str) -> tuple[Finding, Finding]:
    stable = surroundings.stable.number if surroundings.stable is not None else None
    if surroundings.target is None:
        return readiness.gateway(None, None), readiness.metrics(None, stable, None)
    url = surroundings.target.url("").rstrip("/")
    try:
        reading = await surroundings.target.read(name)
    except TidegateError as error:
        return readiness.gateway(url, error.message), readiness.metrics(error.message, stable, None)
    return readiness.gateway(url, None), readiness.metrics(None, stable, list(reading.counts))
