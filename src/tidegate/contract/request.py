"""The request document: a model file, the service level it must meet, and how it shall get into production."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    PlainValidator,
    Strict,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tidegate.contract.documents import Document, invalid_document
from tidegate.contract.errors import InvalidInput
from tidegate.contract.names import NAME_PATTERN, RESERVED_NAMES, name_from_path, validated_name
from tidegate.contract.notifications import Hook, Notification, Receiver
from tidegate.contract.problems import problem, shown
from tidegate.contract.quantities import Duration, Share, Throughput, between
from tidegate.contract.serving import Batching, Cache, PredictionLog

Strategy = Literal["rolling", "canary", "blue-green", "shadow", "ab-test"]
Platform = Literal["local", "compose", "kubernetes"]
OnInconclusive = Literal["pause", "rollback", "continue"]

Text = Annotated[str, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]

_FRAMEWORK_PATTERN = "[a-z][a-z0-9_-]{0,62}"
_VERSION_PATTERN = "[A-Za-z0-9][A-Za-z0-9._+-]{0,62}"
_NAMESPACE_PATTERN = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_LONGEST_PATH = 4096
_MOST_STEPS = 100


def _path(value: str) -> str:
    if not value or "\0" in value or len(value) > _LONGEST_PATH:
        raise problem("the path of a file or folder", value)
    return value


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise problem(expected, value)
        return value

    return AfterValidator(check)


FilePath = Annotated[Text, AfterValidator(_path), Field(json_schema_extra={"minLength": 1})]
Name = Annotated[
    str,
    PlainValidator(validated_name),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "not": {"enum": sorted(RESERVED_NAMES)}}),
]


class ModelArtifact(Document):
    """The model as it was trained."""

    path: FilePath
    """The file or folder. A relative path counts from the folder of this document, or from the current folder when
    there is none."""

    framework: (
        Annotated[
            Text,
            _matching(_FRAMEWORK_PATTERN, 'the name of a runtime such as "sklearn"'),
            Field(json_schema_extra={"pattern": f"^{_FRAMEWORK_PATTERN}$"}),
        ]
        | None
    ) = None
    """Name of the runtime that shall load it, e.g. `sklearn`; recognised from the content when absent."""

    version: (
        Annotated[
            Text,
            _matching(_VERSION_PATTERN, 'a version such as "7" or "2026-11-02"'),
            Field(json_schema_extra={"pattern": f"^{_VERSION_PATTERN}$"}),
        ]
        | None
    ) = None
    """The model version that clients of the Open Inference Protocol see; the revision's number when absent."""

    trust: Flag = False
    """Whether code that the file brings (a pickle does) may run when it is loaded."""

    sample: FilePath | None = None
    """A JSON or CSV file with rows of typical input, for models that do not say what they take."""

    settings: dict[str, JsonValue] = Field(default={}, max_length=100)
    """What this runtime alone needs to know: for `xgboost`, `lightgbm` and `catboost` `labels`, a list of class names
    in the order of training; for `xgboost` also `categories`, an object from column to its text categories in that
    order; for `catboost` also `missingText`, the text of a missing category; for `pytorch` and `mlflow` `inputs`, a
    list of `name`, `datatype` and `shape`; for `python` and `command`, code of your own, what the how-to page on it
    lists."""


class ServingRequirements(Document):
    """The service level that the model must meet; stable and candidate are judged against it."""

    latency_p99: Annotated[Duration, between("1ms", "10m", Duration)] = Duration.parse("100ms")
    """99 of 100 requests are answered faster than this."""

    throughput: Annotated[Throughput, between("1rpm", "1000000rps", Throughput)] = Throughput.parse("50rps")
    """The rate of requests to be ready for."""

    availability: Annotated[Share, between("50%", "99.9999%", Share)] = Share.parse("99.9%")
    """The share of requests that is answered without a 5xx."""


class Resources(Document):
    """What the deployment may use."""

    replicas: Annotated[Whole, Field(ge=1, le=64)] = 2
    """Units per revision that are started, checked and replaced by themselves."""

    workers: Annotated[Whole, Field(ge=1, le=64)] = 1
    """Serving processes per replica, for models that compute in Python. They share its port, and one copy of the model
    where its format can be mapped."""

    threads: Annotated[Whole, Field(ge=1, le=256)] = 1
    """Inference threads per process."""


class Infrastructure(Document):
    """Where the replicas run."""

    platform: Platform = "local"
    """The target."""

    namespace: Annotated[
        Text,
        _matching(_NAMESPACE_PATTERN, "a name of lower-case letters, digits and hyphens"),
        Field(json_schema_extra={"pattern": f"^{_NAMESPACE_PATTERN}$"}),
    ] = "default"
    """Namespace on a cluster; the local platform has only one."""

    resources: Resources = Resources()
    """Replicas and threads."""


class Step(Document):
    """One stage of a rollout. In a document, a bare number is a step with that weight."""

    weight: Annotated[Whole, Field(ge=1, le=100)]
    """Whole percent of the traffic that goes to the candidate."""

    duration: Annotated[Duration, between("100ms", "24h", Duration)] | None = None
    """How long the step may take at most; `analysis.stepDuration` when absent."""

    @model_validator(mode="before")
    @classmethod
    def _bare_weight(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int) else value

    @model_serializer(mode="wrap")
    def _shortest(self, serialise: Any) -> Any:
        return self.weight if self.duration is None else serialise(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        whole = {"type": "integer", "minimum": 1, "maximum": 100}
        return {"anyOf": [whole, schema]}


class Analysis(Document):
    """How candidate and stable are compared at each step."""

    step_duration: Annotated[Duration, between("100ms", "24h", Duration)] = Duration.parse("5m")
    """The most time that a step takes; a verdict ends it sooner, as soon as there were enough requests."""

    interval: Annotated[Duration, between("100ms", "10m", Duration)] = Duration.parse("1s")
    """Time between two looks at the counters."""

    baseline: Annotated[Duration, between("0s", "24h", Duration)] = Duration.parse("5s")
    """How long stable alone is watched before the candidate gets its first traffic."""

    min_requests: Annotated[Whole, Field(ge=1, le=1_000_000)] = 50
    """Requests that the candidate must have answered before a step can pass."""

    margin: Annotated[Share, between("0.01%", "50%", Share)] = Share.parse("2%")
    """How far the candidate's share of bad requests may lie above stable's, or above the objective where that is
    larger, and the candidate still pass."""

    alpha: Annotated[Share, between("0.0001%", "20%", Share)] = Share.parse("1%")
    """The chance of taking back a healthy candidate that is accepted: over the whole rollout, all signals together,
    however often the judge looks."""

    on_inconclusive: OnInconclusive = "pause"
    """What to do when a step's time is up and neither harm nor safety is shown: wait for a person, roll back, go on."""


class HealthChecks(Document):
    """When a replica counts as broken."""

    ready_within: Annotated[Duration, between("1s", "1h", Duration)] = Duration.parse("60s")
    """Time that a revision's replicas have to become ready."""

    max_restarts: Annotated[Whole, Field(ge=0, le=1000)] = 3
    """Deaths of a candidate's replicas that are borne before it is rolled back."""


class Traffic(Document):
    """How requests are treated on their way."""

    timeout: Annotated[Duration, between("10ms", "1h", Duration)] = Duration.parse("30s")
    """How long one request may take before it is answered 504; a client may ask for less in the header
    `x-request-timeout-ms`."""


class DeploymentRequest(Document):
    """All that Tidegate is told about one deployment."""

    model_artifact: ModelArtifact
    """The model as it was trained."""

    serving_requirements: ServingRequirements
    """The service level that it must meet."""

    name: Name = Field(default_factory=lambda data: name_from_path(data["model_artifact"].path))
    """The endpoint's name; made from the artifact's file name when absent."""

    description: Annotated[Text, Field(max_length=2000)] | None = None
    """What the model is for, in words."""

    deployment_strategy: Strategy = "canary"
    """How the candidate takes over."""

    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=_MOST_STEPS)] = tuple(
        Step(weight=weight) for weight in (5, 25, 50, 100)
    )
    """The candidate's weights in order, each above the one before, the last 100."""

    infrastructure: Infrastructure = Infrastructure()
    """Where the replicas run."""

    analysis: Analysis = Analysis()
    """How candidate and stable are compared."""

    health_checks: HealthChecks = HealthChecks()
    """When a replica counts as broken."""

    traffic: Traffic = Traffic()
    """How requests are treated on their way."""

    batching: Batching = Batching()
    """How many requests are answered together."""

    cache: Cache = Cache()
    """Whether answers are kept."""

    prediction_log: PredictionLog = PredictionLog()
    """Which predictions are written down."""

    notifications: Annotated[tuple[Notification, ...], Field(max_length=20)] = ()
    """Who is told of what happens."""

    hooks: Annotated[tuple[Hook, ...], Field(max_length=40)] = ()
    """Who is asked before a rollout goes on."""

    @field_validator("notifications", "hooks")
    @classmethod
    def _named_once(cls, receivers: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
        names = [receiver.name for receiver in receivers]
        if len(set(names)) != len(names):
            raise problem("each name once", names)
        return receivers

    @field_validator("steps")
    @classmethod
    def _rising_to_all(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        weights = [step.weight for step in steps]
        if weights != sorted(set(weights)) or weights[-1] != 100:
            raise problem("weights that rise and end with 100, such as [5, 25, 50, 100]", weights)
        return steps

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        objective, timeout = self.serving_requirements.latency_p99, self.traffic.timeout
        if timeout <= objective:
            expected = f"more than servingRequirements.latencyP99, which is {objective}"
            raise problem(expected, str(timeout), path="traffic.timeout")
        shortest = min([self.analysis.step_duration, *(step.duration for step in self.steps if step.duration)])
        if self.analysis.interval > shortest:
            expected = f"no more than the shortest step, which is {shortest}"
            raise problem(expected, str(self.analysis.interval), path="analysis.interval")
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the request with relative paths counted from `folder`; absolute ones stay."""
        artifact = self.model_artifact
        sample = None if artifact.sample is None else str(folder / artifact.sample)
        paths = {"path": str(folder / artifact.path), "sample": sample}
        return self.model_copy(
            update={
                "model_artifact": artifact.model_copy(update=paths),
                "prediction_log": self.prediction_log.anchored(folder),
                "notifications": tuple(one.anchored(folder) for one in self.notifications),
                "hooks": tuple(one.anchored(folder) for one in self.hooks),
            }
        )

    @property
    def error_budget(self) -> Fraction:
        """The share of requests that may fail: what availability leaves."""
        return 1 - self.serving_requirements.availability.fraction


def parse_request(data: Mapping[str, Any]) -> DeploymentRequest:
    """Read a request document.

    Args:
        data: as it came from JSON or YAML, with camelCase names.

    Raises:
        InvalidInput: one or more fields are wrong, missing or unknown; the message has a line for each.
    """
    if not isinstance(data, Mapping):
        got = shown(data)
        raise InvalidInput(
            f"the deployment request: expected an object with fields, got {got}",
            expected="an object with fields",
            got=got,
        )
    try:
        return DeploymentRequest.model_validate(dict(data), by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("deployment request", DeploymentRequest, data, error) from None
