"""The result document: what a deployment became, and where it is found. Every value in it is real."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from tidegate.contract.documents import Document
from tidegate.contract.quantities import Duration, Memory
from tidegate.contract.request import Name, Platform, Strategy

Percent = Annotated[int, Field(ge=0, le=100)] | Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]

#: Where a rollout can be; the last four are ends.
RolloutPhase = Literal[
    "preparing",
    "baseline",
    "scaling",
    "shifting",
    "analyzing",
    "paused",
    "promoting",
    "rolling_back",
    "promoted",
    "rolled_back",
    "aborted",
    "failed",
]


class UsedResources(Document):
    """What the deployment uses."""

    replicas: Count
    """Replicas of the revision that serves."""

    workers: Positive
    """Serving processes per replica."""

    threads: Positive
    """Inference threads per process."""

    memory_per_replica: Memory | None = None
    """What one replica was measured to need for the model; absent where it was not measured."""


class DeploymentConfig(Document):
    """What runs."""

    container_image: str | None
    """The image that runs; null on the local platform, where replicas are processes and there is no image, and as long
    as no replica runs."""

    replicas: Count
    """Replicas of the revision that serves."""

    resources: UsedResources
    """What it uses."""

    strategy: Strategy
    """How the candidate takes over."""

    platform: Platform = "local"
    """The target on which it runs."""

    bundle: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """Digest of the bundle that serves."""

    runtime: str
    """The runtime that executes the model, e.g. `sklearn`."""

    model_version: str
    """The model version that clients of the Open Inference Protocol see."""


class ServingEndpoint(Document):
    """Where the deployment is reached."""

    url: str
    """Base address of the deployment at the gateway."""

    health_endpoint: str
    """Answers 200 while the deployment can serve."""

    metrics_endpoint: str
    """Prometheus metrics of this deployment."""

    predict_endpoint: str
    """Takes rows with named columns by POST."""

    infer_endpoint: str
    """Takes Open Inference Protocol requests by POST."""

    preview_endpoint: str | None = None
    """Base address of the candidate, whatever its weight; absent while there is none. Requests to it are in no count
    and no verdict."""

    grpc_endpoint: str | None = None
    """HOST:PORT where the Open Inference Protocol is spoken over gRPC, without TLS; absent where the replicas that
    serve do not speak it."""


class ScheduledStep(Document):
    """One stage of the rollout."""

    weight: Percent
    """Percent of the requests that go to the candidate."""

    shadow: Percent | None = None
    """Percent of the requests that are copied to the candidate; absent where none are."""

    until: Literal["pass", "time", "person"]
    """What ends the stage well: the judge's pass, its time without harm, a person who resumes."""

    duration: Duration | None = None
    """How long the stage may take at most, or is held; absent where a person ends it."""

    replicas: Positive | None = None
    """Replicas of the candidate in this stage; absent where it has all of them."""


class RollbackTrigger(Document):
    """One reason for which Tidegate takes the candidate back by itself."""

    signal: str
    """What is watched, e.g. `errors`."""

    condition: str
    """When it triggers, as a sentence."""

    threshold: float | None = None
    """The number in the condition; absent where there is none."""


class TrafficConfig(Document):
    """How traffic is and will be split."""

    canary_percent: Percent
    """Percent of the requests that go to the candidate now, to the hundredth; 0 when there is none."""

    shadow_percent: Percent = 0
    """Percent of the requests that are copied to the candidate now, whose answers to those go to nobody."""

    rollout_schedule: tuple[ScheduledStep, ...]
    """The steps in order."""

    reason_required: bool = False
    """Whether a person must say why who lets this schedule go on: who promotes, resumes or gives an arm more weight."""

    rollback_triggers: tuple[RollbackTrigger, ...]
    """What takes a candidate back."""


class AlertRef(Document):
    """One alert rule."""

    name: str
    """The rule's name in Prometheus."""

    file: str
    """The rule file that holds it."""


class Monitoring(Document):
    """How the deployment is watched."""

    metrics: tuple[str, ...]
    """Names of the metrics that the metrics endpoint serves."""

    alerts: tuple[AlertRef, ...]
    """Alert rules for Prometheus."""

    dashboards: tuple[str, ...]
    """Paths of dashboard files for Grafana."""


class RolloutOutcome(Document):
    """The rollout that this request started or that ended last."""

    id: str
    """Names the rollout in the API, the CLI and the reports."""

    phase: RolloutPhase
    """Where it is; promoted, rolled_back, aborted and failed are ends."""

    reason: str | None = None
    """Why it is there, as a sentence."""

    report_path: str | None = None
    """The report's file; absent before there is one."""


class DeploymentResult(Document):
    """What a request became."""

    name: Name
    """The deployment."""

    revision: Positive
    """The revision that serves; while none does, the first one on its way."""

    deployment_config: DeploymentConfig
    """What runs."""

    serving_endpoint: ServingEndpoint
    """Where it is reached."""

    traffic_config: TrafficConfig | None = None
    """How traffic is and will be split."""

    monitoring: Monitoring
    """How it is watched."""

    rollout: RolloutOutcome | None = None
    """The rollout that this request started or that ended last; absent when nothing had to change."""

    def as_document(self) -> dict[str, Any]:
        """Return the JSON form; `containerImage` is there even when it is null."""
        document = super().as_document()
        document["deploymentConfig"].setdefault("containerImage", None)
        return document
