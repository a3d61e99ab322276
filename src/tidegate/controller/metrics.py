"""What `/metrics` answers: the records of `observe.exposition`, filled from the store, the target and what is seen.

The counters are those of the gateway's own processes, read at each scrape: they survive the controller, and a restart
of it loses none. Each process has series of its own, since each begins at zero when it is started anew.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from tidegate import __version__
from tidegate.contract.errors import TidegateError
from tidegate.controller import health as wellness
from tidegate.controller import planning
from tidegate.controller.drift.log_readings import AspectSeen
from tidegate.controller.drift.watcher import DriftSeen
from tidegate.controller.evidence import Measured
from tidegate.controller.reconcile import Seen
from tidegate.controller.service import Service
from tidegate.drift.aspect_plots import measured
from tidegate.gateway.base import Counts, ProcessCounts
from tidegate.observe.exposition import (
    AspectMetrics,
    ControllerMetrics,
    DeploymentMetrics,
    DriftMetrics,
    RequestMetrics,
    RevisionMetrics,
    render,
)
from tidegate.rollout import Rollout
from tidegate.store import DeploymentRow, RolloutRow

log = logging.getLogger(__name__)


async def exposition(service: Service, name: str | None) -> bytes:
    """Return the Prometheus text of one deployment, or of all when `name` is None."""
    chosen = [row for row in service.store.deployments() if name in (None, row.name)]
    filled = [await _deployment(service, row) for row in chosen]
    up = all(requests_known for _, requests_known in filled)
    return render(ControllerMetrics(__version__, gateway_up=up), [metrics for metrics, _ in filled])


async def _deployment(service: Service, deployment: DeploymentRow) -> tuple[DeploymentMetrics, bool]:
    """Return the deployment's metrics and whether the gateway could be read."""
    store = service.store
    seen = service.supervisor.seen(deployment.name)
    last = store.last_rollout(deployment.id)
    active = last if last is not None and last.ended_at is None else None
    number = deployment.stable or (last.to_revision if last is not None else 1)
    request = planning.request_of(store.revision(deployment.id, number))
    objective_ms = request.serving_requirements.latency_p99.ms
    try:
        counted = (await service.target.read(deployment.name)).processes
        known = True
    except TidegateError as error:
        log.warning("%s: no counters for the metrics: %s", deployment.name, error)
        counted, known = (), False
    verdict = seen.verdict if active is not None else None
    metrics = DeploymentMetrics(
        deployment=deployment.name,
        latency_objective_ms=objective_ms,
        availability=request.serving_requirements.availability.ratio,
        revisions=_revisions(deployment, active, seen, counted, objective_ms),
        phase=last.phase if last is not None else None,
        rollouts=store.outcomes(deployment.id),
        harm={one.signal: one.harm for one in verdict.said} if verdict is not None else {},
        drift=_drift(service.supervisor.drift.seen(deployment.name)),
        aspects=_aspects(service.supervisor.drift_log.seen(deployment.name)),
    )
    return metrics, known


def _drift(seen: DriftSeen | None) -> DriftMetrics | None:
    last = seen.last if seen is not None else None
    if last is None:
        return None
    return DriftMetrics(
        revision=last.revision,
        at=last.at.timestamp(),
        requests=last.whole["requests"],
        drifted=last.whole["drifted"],
        psi={column.name: column.psi for column in last.columns},
        columns=Counter(column.state for column in last.columns),
    )


def _aspects(seen: Mapping[str, AspectSeen]) -> list[AspectMetrics]:
    return [
        AspectMetrics(
            aspect=row.aspect,
            revision=row.revision,
            at=row.at.timestamp(),
            requests=row.requests,
            drifted=row.data["drifted"],
            figures=measured(row.aspect, row.data["measured"]),
        )
        for row in (one.last for one in seen.values())
        if row is not None
    ]


def _revisions(
    deployment: DeploymentRow,
    active: RolloutRow | None,
    seen: Seen,
    counted: Sequence[ProcessCounts[int]],
    objective_ms: float,
) -> list[RevisionMetrics]:
    split: dict[int, float] = {deployment.stable: 100} if deployment.stable is not None else {}
    observed: dict[int, float] = {}
    if active is not None:
        split = dict(Rollout.from_storage(active.state).split())
        percent = Measured.from_storage(active.evidence).observed_percent() or {}
        observed = {int(number): share for number, share in percent.items()}
    known = {number for process in counted for number in process.counts}
    numbers = sorted({number for number in (*split, *seen.health, *known) if number is not None})
    filled = []
    for number in numbers:
        health = seen.health.get(number)
        filled.append(
            RevisionMetrics(
                revision=number,
                requests={
                    process.number: _requests(process.counts[number], objective_ms)
                    for process in counted
                    if number in process.counts
                },
                weight_percent=split.get(number, 0),
                observed_percent=observed.get(number),
                wanted=len(health.replicas) if health is not None else 0,
                ready=health.ready if health is not None else 0,
                restarts=health.restarts if health is not None else 0,
                failing=wellness.failing(health) if health is not None else {},
            )
        )
    return filled


def _requests(counts: Counts, objective_ms: float) -> RequestMetrics:
    good = max(0, counts.requests - counts.errors - counts.rejections)
    by_class = {"2xx": good, "4xx": counts.rejections, "5xx": counts.errors}
    return RequestMetrics(by_class, counts.durations, counts.slower_than(objective_ms))
