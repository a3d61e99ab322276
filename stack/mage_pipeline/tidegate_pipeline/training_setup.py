"""What is trained: the document of a retraining."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from tidegate.contract.documents import Document, Text, Whole, invalid_document
from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import matching
from tidegate_pipeline.source import Positive

#: Metrics of which more is better; of the others less is.
LARGER_IS_BETTER = frozenset({"auc", "pr_auc", "r2"})
Metric = Literal["auc", "pr_auc", "logloss", "rmse", "mae", "mean_residual_deviance", "r2", "mean_per_class_error"]
Name = Annotated[Text, matching("[a-z][a-z0-9-]{0,39}", "up to 40 small letters, digits and hyphens, a letter first")]
Share = Annotated[float, Field(ge=0, le=1)]


class Configuration(Document):
    """One way to train."""

    name: Name
    algorithm: Literal["gbm", "drf", "xgboost", "glm", "deeplearning"]
    parameters: Annotated[dict[Text, Any], Field(default_factory=dict)]
    """Of H2O's estimator, by their names there."""


class Holdout(Document):
    """The rows that models are compared on, and that none is trained with."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    time_column: Text | None = None
    """Left out: every n-th row. Else the last rows by this column, which no model takes as an input."""


class Cluster(Document):
    """The H2O cluster that trains."""

    url: Annotated[Text, matching("https?://.+", "an address that begins with http:// or https://")] = (
        "http://127.0.0.1:54321"
    )
    at_once: Annotated[Whole, Field(ge=1, le=64)] = 2
    """Trainings at once, over all runs and workers of this machine."""


class EvaluationSetup(Document):
    """How the best model is compared with the one that serves, on fresh rows: none of them was trained with one."""

    data: Text | None = None
    """Fresh rows, CSV or Parquet; left out: the newest rows of the training data, which are kept from all trainings."""

    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Of the training data, where `data` is left out."""

    metric: Literal["auc", "logloss", "rmse", "mae"] | None = None
    """Left out: the setup's metric where it is one of these, else logloss for classes and rmse for numbers."""

    may_be_worse_by: Annotated[float, Field(ge=0)] = 0.0
    """In units of the metric; 0: the new model has to be better, beyond chance."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """The chance that a model passes that is worse than that."""

    min_rows: Annotated[Whole, Field(ge=2)] = 500
    """Of fresh rows, of which fewer say nothing."""

    most_rows: Annotated[Whole, Field(ge=2, le=1_000_000)] = 50_000
    """The newest so many are scored."""

    resample: Literal["day", "row"] = "day"
    """What chance is measured by: whole days of rows, or single rows where rows of one day have nothing in common."""


class CanarySetup(Document):
    """How the better model is deployed: by the request of what serves, with another model."""

    request: Annotated[dict[Text, Any], Field(default_factory=dict)]
    """Fields of the request document that take the place of those of what serves, such as steps and analysis."""

    patience_minutes: Annotated[float, Field(gt=0, le=14 * 1440)] = 240.0
    """For the end of the rollout, other rollouts before it included."""


class TrainingSetup(Document):
    """A retraining: the data, the segments and configurations, and how models are compared."""

    model: Name
    """The model of the registry that a new version is registered under; with segments, what their names begin with."""

    data: Text
    """A training set, CSV or Parquet, as `tidegate features training-set` writes it."""

    target: Text
    kind: Literal["classification", "regression"] = "classification"
    features: tuple[Text, ...] = ()
    """The inputs; left out: all columns but target, segment, and the holdout's time."""

    segment_by: Text | None = None
    segments: tuple[Text, ...] = ()
    """Left out: all that are large enough."""

    most_segments: Annotated[Whole, Field(ge=1, le=1_000)] = 50
    min_rows: Annotated[Whole, Field(ge=1)] = 200
    holdout: Holdout = Holdout()
    configurations: Annotated[tuple[Configuration, ...], Field(min_length=1, max_length=100)]
    metric: Metric = "auc"
    attempts: Annotated[Whole, Field(ge=1, le=10)] = 3
    """Of one training; a further one is made where the cluster did not answer, not where it refused."""

    most_seconds: Positive = 600.0
    """For one training; H2O ends it then and keeps what it has."""

    most_failed: Share = 0.5
    """The share of trainings that may fail before nothing is registered."""

    cluster: Cluster = Cluster()
    alias: Name | None = "challenger"
    """Moved to each version that is better than what serves, or that is registered where there is no `deployment`; null
    for none."""

    deployment: Text | None = None
    """Where the best model is tried, if it is better than what serves there; with segments, what their names begin
    with. Left out, the run ends with the registration."""

    evaluation: EvaluationSetup = EvaluationSetup()
    canary: CanarySetup = CanarySetup(request={})

    @property
    def fresh_share(self) -> float:
        """The share of the training data that is kept for the comparison with what serves; 0 where none is."""
        return self.evaluation.share if self.deployment is not None and self.evaluation.data is None else 0.0

    @property
    def compared_by(self) -> str:
        """The metric of the comparison with what serves."""
        if self.evaluation.metric is not None:
            return self.evaluation.metric
        fitting = ("auc", "logloss") if self.kind == "classification" else ("rmse", "mae")
        return self.metric if self.metric in fitting else {"classification": "logloss", "regression": "rmse"}[self.kind]


def parse_setup(document: Any) -> TrainingSetup:
    """Read the document of a retraining; InvalidInput with a line for each field that is wrong."""
    if not isinstance(document, dict):
        raise InvalidInput(
            "a retraining is an object", subject="setup", expected="an object with model, data and target"
        )
    try:
        setup = TrainingSetup.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("retraining", TrainingSetup, document, error) from None
    names = [one.name for one in setup.configurations]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"two configurations are called {twice!r}", subject="configurations")
    if setup.segments and setup.segment_by is None:
        raise InvalidInput("segments are values of a column", subject="segments", expected="segmentBy, which names it")
    if setup.deployment is not None and setup.holdout.time_column is None:
        raise InvalidInput(
            "which rows are fresh is not known",
            subject="holdout.timeColumn",
            expected="the column with the time of a row, by which the newest are told",
        )
    fitting = ("auc", "logloss") if setup.kind == "classification" else ("rmse", "mae")
    if setup.compared_by not in fitting:
        raise InvalidInput(
            f"{setup.compared_by} is no metric of a {setup.kind}",
            subject="evaluation.metric",
            expected=" or ".join(fitting),
            got=setup.compared_by,
        )
    return setup
