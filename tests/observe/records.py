"""Records as the controller would fill them: a stable revision and a candidate that fails and is slow."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.observe.exposition import (
    AspectMetrics,
    ControllerMetrics,
    DeploymentMetrics,
    DriftMetrics,
    RequestMetrics,
    RevisionMetrics,
)


@dataclass(frozen=True)
class Bucket:
    lower_ms: float
    upper_ms: float
    count: int


CONTROLLER = ControllerMetrics(version="0.1.0", gateway_up=True)

STABLE = RevisionMetrics(
    revision=1,
    requests={
        1: RequestMetrics(
            by_code_class={"2xx": 600, "4xx": 15, "5xx": 5},
            durations=(Bucket(3, 3.1, 530), Bucket(9, 10, 80), Bucket(49, 50, 6), Bucket(50, 51, 4)),
            slow=4,
        ),
        2: RequestMetrics(by_code_class={"2xx": 380}, durations=(Bucket(3, 3.1, 370), Bucket(9, 10, 10)), slow=0),
    },
    weight_percent=95,
    observed_percent=94.8,
    wanted=2,
    ready=2,
    restarts=0,
)

CANDIDATE = RevisionMetrics(
    revision=2,
    requests={1: RequestMetrics(by_code_class={"2xx": 50}, durations=(Bucket(200, 210, 50),), slow=50)},
    weight_percent=5,
    observed_percent=None,
    wanted=2,
    ready=1,
    restarts=3,
    failing={"readiness": 1, "warm": 0},
)

CHURN = DeploymentMetrics(
    deployment="churn",
    latency_objective_ms=50,
    availability=0.999,
    revisions=(STABLE, CANDIDATE),
    phase="analyzing",
    rollouts={"promoted": 2},
    harm={"errors": 0.1, "slow": 1.4},
    drift=DriftMetrics(
        revision=1,
        at=1_772_366_400.5,
        requests=720,
        drifted=True,
        psi={"age": 0.31, "city": 0.02},
        columns={"large": 1, "none": 1},
    ),
    aspects=(
        AspectMetrics(
            aspect="quality",
            revision=1,
            at=1_772_366_410.0,
            requests=300,
            drifted=True,
            figures={("accuracy", "reference"): 0.9, ("accuracy", "current"): 0.6},
        ),
        AspectMetrics("together", 1, 1_772_366_410.0, 500, drifted=False, figures={("area", "current"): 0.51}),
    ),
)
