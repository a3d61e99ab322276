"""The request document: a model file, the service level it must meet, and how it shall get into production."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from tidegate.contract.analysis import Analysis
from tidegate.contract.documents import Document, Flag, Text, Whole, invalid_document
from tidegate.contract.drift import Drift
from tidegate.contract.errors import InvalidInput
from tidegate.contract.health import HealthChecks
from tidegate.contract.models import (
    ALIAS_PATTERN,
    EXPECTED_ALIAS,
    EXPECTED_REFERENCE,
    is_alias,
    is_reference,
    parse_reference,
)
from tidegate.contract.names import NAME_PATTERN, RESERVED_NAMES, arm_from_path, name_from_path, validated_name
from tidegate.contract.notifications import Hook, Notification, Receiver
from tidegate.contract.problems import matching, problem, shown
from tidegate.contract.quantities import Duration, Share, Throughput, between
from tidegate.contract.serving import Batching, Cache, Features, PredictionLog
from tidegate.contract.steps import BlueGreen, Percentage, Rolling, Step, Steps, check_order, default_steps

Strategy = Literal["rolling", "canary", "blue-green", "shadow", "ab-test"]
Platform = Literal["local", "compose", "kubernetes"]


_FRAMEWORK_PATTERN = "[a-z][a-z0-9_-]{0,62}"
_VERSION_PATTERN = "[A-Za-z0-9][A-Za-z0-9._+-]{0,62}"
_NAMESPACE_PATTERN = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAMED_PATTERN = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_VALUE_PATTERN = "[A-Za-z0-9._:@/+=-]{1,200}"
_LONGEST_PATH = 4096

#: Arms of an A/B test beside the champion.
MOST_CHALLENGERS = 7
#: How people speak of the revision that serves, so no arm is called so.
STABLE = "stable"


def _path(value: str) -> str:
    if not value or "\0" in value or len(value) > _LONGEST_PATH:
        raise problem("the path of a file or folder", value)
    return value


def _artifact_path(value: str) -> str:
    if not is_reference(value):
        return _path(value)
    try:
        return str(parse_reference(value))
    except InvalidInput as error:
        raise problem(f"a version in the model registry, {EXPECTED_REFERENCE}", value) from error


def _alias(value: str) -> str:
    if not is_alias(value):
        raise problem(EXPECTED_ALIAS, value)
    return value


FilePath = Annotated[Text, AfterValidator(_path), Field(json_schema_extra={"minLength": 1})]
ArtifactPath = Annotated[Text, AfterValidator(_artifact_path), Field(json_schema_extra={"minLength": 1})]
Name = Annotated[
    str,
    PlainValidator(validated_name),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "not": {"enum": sorted(RESERVED_NAMES)}}),
]


class ModelArtifact(Document):
    """The model as it was trained."""

    path: ArtifactPath
    """The file or folder. A relative path counts from the folder of this document, or from the current folder when
    there is none. Or a version in the model registry: `models:/churn@champion` by an alias, `models:/churn/3` by its
    number, `models:/churn/production` by its stage, `models:/churn/latest`; what it is served with was said when it
    was registered, and is not said again."""

    framework: (
        Annotated[
            Text,
            matching(_FRAMEWORK_PATTERN, 'the name of a runtime such as "sklearn"'),
            Field(json_schema_extra={"pattern": f"^{_FRAMEWORK_PATTERN}$"}),
        ]
        | None
    ) = None
    """Name of the runtime that shall load it, e.g. `sklearn`; recognised from the content when absent."""

    version: (
        Annotated[
            Text,
            matching(_VERSION_PATTERN, 'a version such as "7" or "2026-11-02"'),
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
    order; for `catboost` also `missingText`, the text of a missing category; for `mojo` `strict`, true to refuse levels
    that the training did not have; for `pytorch` and `mlflow` `inputs`, a list of `name`, `datatype` and `shape`; for
    `python` and `command`, code of your own, what the how-to page on it lists."""

    def anchored(self, folder: PurePath) -> Self:
        """Return the artifact with relative paths counted from `folder`."""
        sample = None if self.sample is None else str(folder / self.sample)
        path = self.path if self.is_registered else str(folder / self.path)
        return self.model_copy(update={"path": path, "sample": sample})

    @property
    def is_registered(self) -> bool:
        """Whether `path` names a version in the model registry."""
        return is_reference(self.path)

    @model_validator(mode="after")
    def _says_nothing_again(self) -> Self:
        given = {"framework": self.framework, "trust": self.trust, "sample": self.sample, "settings": self.settings}
        again = [name for name, value in given.items() if value]
        if self.is_registered and again:
            raise problem(f"no {again[0]} beside {self.path}: it belongs to the version", given[again[0]])
        return self


class Registry(Document):
    """What the deployment does in the model registry."""

    alias: Annotated[Text, AfterValidator(_alias), Field(json_schema_extra={"pattern": ALIAS_PATTERN})] | None = None
    """The alias of the model that names the version which is stable here. It moves to a version when that is promoted,
    and back when that is taken back or returned from, in the same transaction; none moves when absent. An alias follows
    one deployment."""


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
        matching(_NAMESPACE_PATTERN, "a name of lower-case letters, digits and hyphens"),
        Field(json_schema_extra={"pattern": f"^{_NAMESPACE_PATTERN}$"}),
    ] = "default"
    """Namespace on a cluster; the local platform has only one."""

    resources: Resources = Resources()
    """Replicas and threads."""


class StickyBy(Document):
    """What users are told apart by; one of the two."""

    header: Annotated[Text, matching(_NAMED_PATTERN, "the name of a header such as x-user-id")] | None = None
    """A header that carries the user's key. Requests without it are split at random."""

    cookie: Annotated[Text, matching(_NAMED_PATTERN, "the name of a cookie such as visitor")] | None = None
    """A cookie that carries the user's key; who has none is given one that lasts a year."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise problem("one of header and cookie", self.model_dump(exclude_none=True))
        return self


class Vulnerabilities(Document):
    """Which known vulnerabilities of the packages that the model is served with are looked for; nothing is fetched."""

    database: FilePath
    """Records of OSV: a folder of JSON files, a ZIP of them (as OSV publishes one for PyPI), or one JSON file."""

    on_found: Literal["warn", "refuse"] = "warn"
    """What to do when one is found."""

    ignore: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()
    """Ids (CVE, GHSA, PYSEC) of those that do no harm here."""


class Gates(Document):
    """What a candidate must pass before any user meets it."""

    allow_breaking: Flag = False
    """Whether the candidate may refuse what stable takes, or answer without what clients of stable read."""

    golden: FilePath | None = None
    """A file with golden requests, YAML or JSON: inputs with the answers that the candidate must give. It is copied
    when the rollout begins."""

    vulnerabilities: Vulnerabilities | None = None
    """Which known vulnerabilities are looked for; none when absent."""

    require_reason: Flag = False
    """Whether a person must say why when more users may meet the candidate by their decision: to promote, to resume, to
    give an arm more weight. To pause, to abort and to return to a revision never takes a reason."""

    def anchored(self, folder: PurePath) -> Self:
        """Return the gates with relative paths counted from `folder`."""
        golden = None if self.golden is None else str(folder / self.golden)
        known = self.vulnerabilities
        if known is not None:
            known = known.model_copy(update={"database": str(folder / known.database)})
        return self.model_copy(update={"golden": golden, "vulnerabilities": known})


class Traffic(Document):
    """How requests are treated on their way."""

    timeout: Annotated[Duration, between("10ms", "1h", Duration)] = Duration.parse("30s")
    """How long one request may take before it is answered 504; a client may ask for less in the header
    `x-request-timeout-ms`."""

    sticky_by: StickyBy | None = None
    """What decides which revision a user gets. A user stays with a revision, whichever replica answers and whatever is
    restarted; a change of weight moves only as many users as it must. At random for each request when absent."""


class Match(Document):
    """Requests that get an arm whatever the weights say: those with this value in a header or a cookie, one of both."""

    header: Annotated[Text, matching(_NAMED_PATTERN, "the name of a header such as x-group")] | None = None
    """The header."""

    cookie: Annotated[Text, matching(_NAMED_PATTERN, "the name of a cookie such as group")] | None = None
    """The cookie."""

    value: Annotated[
        Text,
        matching(_VALUE_PATTERN, "a value of letters, digits and any of ._:@/+=-"),
        Field(json_schema_extra={"pattern": f"^{_VALUE_PATTERN}$"}),
    ]
    """What it says, whole and in this case of letters."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.header is None) == (self.cookie is None):
            raise problem("one of header and cookie", self.model_dump(exclude_none=True))
        return self


class Arm(Document):
    """One challenger of an A/B test. It is served with the settings of the whole document."""

    model_artifact: ModelArtifact
    """The model as it was trained."""

    name: Name = Field(default_factory=lambda data: arm_from_path(data["model_artifact"].path))
    """By which the arm is promoted and shown; made from the artifact's file name when absent."""

    weight: Percentage
    """Percent of the users that get it, to the hundredth."""

    match: Match | None = None
    """Requests that get it in any case, those of testers for instance; they count like all others."""


class AbTest(Document):
    """The comparison of `ab-test`: it ends when a person promotes a challenger or aborts."""

    weight: Percentage | None = None
    """Percent of the users that get the candidate, to the hundredth; 50 when absent. Not beside `arms`."""

    arms: Annotated[tuple[Arm, ...], Field(max_length=MOST_CHALLENGERS)] = ()
    """The challengers, where there is more than one: `modelArtifact` is then the champion, which serves already and
    gets what their weights leave of 100. A candidate against stable, with `weight`, needs none."""

    @field_validator("arms")
    @classmethod
    def _fit_each_other(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.name for arm in arms]
        if len(set(names)) != len(names) or STABLE in names:
            raise problem(f"a name for each arm, none of them {STABLE!r}", names)
        if sum(Fraction(str(arm.weight)) for arm in arms) >= 100:
            raise problem("weights that leave something of 100 for stable", [arm.weight for arm in arms])
        matches = [arm.match for arm in arms if arm.match is not None]
        if any(matches.count(match) > 1 for match in matches):
            raise problem("each match once", [match.value for match in matches])
        return arms

    @model_validator(mode="after")
    def _says_weights_once(self) -> Self:
        if self.arms and self.weight is not None:
            raise problem("no weight beside arms, each of which has its own", self.weight, path="abTest.weight")
        return self

    @property
    def challengers_weight(self) -> float:
        """Percent of the users that get a challenger, all of them together."""
        if not self.arms:
            return 50 if self.weight is None else self.weight
        return float(sum(Fraction(str(arm.weight)) for arm in self.arms))


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

    steps: Steps | None = Field(default_factory=lambda data: default_steps(data.get("deployment_strategy", "canary")))
    """The stages of `canary` and `shadow` in order, or the name of a list of them: `cautious`, `standard`, `fast`.
    Weights rise and end with 100. When absent, `canary` goes by `standard`, and `shadow` copies a tenth of the requests
    until a person decides; the other strategies have no steps of their own."""

    blue_green: BlueGreen = BlueGreen()
    """How `blue-green` switches."""

    rolling: Rolling = Rolling()
    """How `rolling` exchanges replicas."""

    ab_test: AbTest = AbTest()
    """How `ab-test` compares."""

    infrastructure: Infrastructure = Infrastructure()
    """Where the replicas run."""

    analysis: Analysis = Analysis()
    """How candidate and stable are compared."""

    health_checks: HealthChecks = HealthChecks()
    """When a replica counts as broken."""

    gates: Gates = Gates()
    """What the candidate must pass before any user meets it."""

    registry: Registry = Registry()
    """What the deployment does in the model registry."""

    traffic: Traffic = Traffic()
    """How requests are treated on their way."""

    batching: Batching = Batching()
    """How many requests are answered together."""

    cache: Cache = Cache()
    """Whether answers are kept."""

    features: Features | None = None
    """Whether rows are completed from the feature store."""

    prediction_log: PredictionLog = PredictionLog()
    """Which predictions are written down."""

    drift: Drift | None = None
    """Whether what is asked and answered is watched for drift; not when absent."""

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
    def _in_order(cls, steps: tuple[Step, ...] | None) -> tuple[Step, ...] | None:
        if steps is not None:
            check_order(steps)
        return steps

    @model_validator(mode="after")
    def _steps_fit_the_strategy(self) -> Self:
        strategy, steps = self.deployment_strategy, self.steps
        if steps is None:
            return self
        if strategy not in ("canary", "shadow"):
            raise problem(f"no steps: {strategy} has its own", len(steps), path="steps")
        if strategy == "canary" and not any(step.weight is not None for step in steps):
            raise problem("at least one weight (deploymentStrategy shadow does without)", len(steps), path="steps")
        if strategy == "shadow" and not any(step.shadow is not None for step in steps):
            raise problem("at least one shadow step for deploymentStrategy shadow", len(steps), path="steps")
        most = self.infrastructure.resources.replicas
        counts = [step.replicas or most for step in steps if step.weight is not None or step.shadow is not None]
        if counts != sorted(counts) or max(counts, default=most) > most:
            expected = (
                f"replicas that do not fall, up to infrastructure.resources.replicas ({most}, the default of a step)"
            )
            raise problem(expected, counts, path="steps")
        return self

    @model_validator(mode="after")
    def _arms_fit_the_strategy(self) -> Self:
        if self.ab_test.arms and self.deployment_strategy != "ab-test":
            expected = "no arms: they are for deploymentStrategy ab-test (--strategy ab-test)"
            raise problem(expected, [arm.name for arm in self.ab_test.arms], path="abTest.arms")
        tolerance = self.analysis.predictions.tolerance
        if self.ab_test.arms and tolerance is not None:
            expected = "no tolerance beside abTest.arms: distributions are compared of one candidate and stable"
            hint = "judge the arms by analysis.outcomes or analysis.metrics"
            raise problem(expected, str(tolerance), path="analysis.predictions.tolerance", hint=hint)
        return self

    @model_validator(mode="after")
    def _alias_has_a_model(self) -> Self:
        files = [one.model_artifact.path for one in self.candidates if not one.model_artifact.is_registered]
        if self.registry.alias is not None and files:
            expected = "no alias: it follows versions of the model registry, and modelArtifact.path names a file"
            raise problem(expected, self.registry.alias, path="registry.alias", hint="tidegate registry add")
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        objective, timeout = self.serving_requirements.latency_p99, self.traffic.timeout
        if timeout <= objective:
            expected = f"more than servingRequirements.latencyP99, which is {objective}"
            raise problem(expected, str(timeout), path="traffic.timeout")
        shortest = min([self.analysis.step_duration, *(step.duration for step in self.trial if step.duration)])
        if self.analysis.interval > shortest:
            expected = f"no more than the shortest step, which is {shortest}"
            raise problem(expected, str(self.analysis.interval), path="analysis.interval")
        outcomes, usual = self.analysis.outcomes, self.analysis.step_duration
        judged = [step.duration or usual for step in self.trial if step.weight is not None]
        if outcomes is not None and outcomes.wait and judged and outcomes.window >= min(judged):
            expected = f"less than the shortest step, which is {min(judged)}: no step could wait for outcomes"
            hint = "make the steps longer (analysis.stepDuration), or set analysis.outcomes.wait to false"
            raise problem(expected, str(outcomes.window), path="analysis.outcomes.window", hint=hint)
        return self

    @property
    def trial(self) -> tuple[Step, ...]:
        """The steps; empty for a strategy that has none of its own."""
        return self.steps or default_steps(self.deployment_strategy) or ()

    def anchored(self, folder: PurePath) -> Self:
        """Return the request with relative paths counted from `folder`; absolute ones stay."""
        arms = tuple(
            arm.model_copy(update={"model_artifact": arm.model_artifact.anchored(folder)}) for arm in self.ab_test.arms
        )
        return self.model_copy(
            update={
                "model_artifact": self.model_artifact.anchored(folder),
                "ab_test": self.ab_test.model_copy(update={"arms": arms}),
                "analysis": self.analysis.anchored(folder),
                "gates": self.gates.anchored(folder),
                "health_checks": self.health_checks.anchored(folder),
                "prediction_log": self.prediction_log.anchored(folder),
                "drift": None if self.drift is None else self.drift.anchored(folder),
                "notifications": tuple(one.anchored(folder) for one in self.notifications),
                "hooks": tuple(one.anchored(folder) for one in self.hooks),
            }
        )

    @property
    def candidates(self) -> tuple[Self, ...]:
        """The requests of the revisions that are put on trial: this one, or one for each arm of an A/B test."""
        arms = self.ab_test.arms
        return tuple(self.model_copy(update={"model_artifact": arm.model_artifact}) for arm in arms) or (self,)

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


def parse_artifact(data: Mapping[str, Any]) -> ModelArtifact:
    """Read a model artifact alone; InvalidInput with a line for each field that is wrong."""
    try:
        return ModelArtifact.model_validate(dict(data), by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("model artifact", ModelArtifact, data, error) from None
