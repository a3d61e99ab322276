"""How candidate and stable are compared at each step: the part `analysis` of a request document."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from tidegate.contract.documents import Document, Flag, Whole
from tidegate.contract.golden import Tolerance
from tidegate.contract.metrics import Metric, each_named_once
from tidegate.contract.outcomes import Outcomes
from tidegate.contract.quantities import Duration, Share, between
from tidegate.contract.resources import WatchedResources

OnInconclusive = Literal["pause", "rollback", "continue"]
OnWarning = Literal["pause", "continue"]


class SignalSettings(Document):
    """How one signal is judged; what is absent is as for all signals."""

    objective: Annotated[Share, between("0%", "99%", Share)] | None = None
    """The tolerated share of bad requests; that of the service level when absent."""

    margin: Annotated[Share, between("0.01%", "50%", Share)] | None = None
    """How far the candidate's share may lie above stable's, or the objective where that is larger, and pass."""

    min_requests: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Requests that the candidate must have answered before a step can pass."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Its share of the score beside the other signals."""

    critical: Flag = True
    """Whether harm takes the candidate back; if not, it is a warning."""

    dry_run: Flag = False
    """Whether the signal is shown and counts for nothing."""


class Signals(Document):
    """The signals by name."""

    errors: SignalSettings = SignalSettings()
    """Requests that were answered with a 5xx."""

    latency: SignalSettings = SignalSettings()
    """Requests that took longer than the objective for 99 of 100."""

    rejections: SignalSettings = SignalSettings()
    """Requests that were answered with a 4xx."""

    disagreement: SignalSettings = SignalSettings()
    """Copied requests that were answered otherwise than by stable, where `analysis.disagreement` limits them."""

    outcomes: SignalSettings = SignalSettings()
    """Requests that came to a bad outcome later, where `analysis.outcomes` says that they are told."""


class Predictions(Document):
    """How the distributions of candidate's and stable's predictions are compared."""

    tolerance: Annotated[Share, between("0.1%", "80%", Share)] | None = None
    """The total variation distance, for each output, up to which the candidate's predictions may be distributed
    otherwise than stable's. When absent, the distance is shown and counts for nothing: a new model is meant to predict
    otherwise."""

    margin: Annotated[Share, between("1%", "19%", Share)] = Share.parse("10%")
    """How far the distance may lie above the tolerance and the candidate still pass."""

    min_requests: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    """Requests that the candidate must have answered before a step can pass; `analysis.minRequests` when absent."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Its share of the score beside the signals."""

    critical: Flag = False
    """Whether a shift takes the candidate back; if not, it is a warning."""

    dry_run: Flag = False
    """Whether a shift is shown and counts for nothing."""


class Inputs(Document):
    """How the requests that candidate and stable see are compared, so that no model is blamed for other requests."""

    compare: Flag = True
    """Whether they are compared."""

    tolerance: Annotated[Share, between("0.1%", "80%", Share)] = Share.parse("5%")
    """The total variation distance of one input column from which on candidate and stable count as seeing different
    requests."""


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
    """What to do when a step's time is up and neither harm nor safety is shown: wait for a person, roll back, go on. In
    a step that is held for a time: when the candidate could not be measured at its end."""

    on_warning: OnWarning = "pause"
    """What to do when a step passes but for signals that are not critical, or its time ends so: wait for a person, or
    go on."""

    signals: Signals = Signals()
    """How single signals are judged."""

    metrics: Annotated[tuple[Metric, ...], Field(max_length=50)] = ()
    """Signals of your own: a Prometheus query, a JSON document over HTTP, or a Python function."""

    resources: WatchedResources = WatchedResources()
    """What the candidate's replicas take of memory and processor."""

    predictions: Predictions = Predictions()
    """How the distributions of predictions are compared."""

    inputs: Inputs = Inputs()
    """How the requests that both see are compared."""

    disagreement: Annotated[Share, between("0.01%", "100%", Share)] | None = None
    """The share of copied requests that the candidate may answer otherwise than stable in a `shadow` step, and pass.
    When absent, they are counted and reported and condemn nobody: a new model is meant to answer otherwise at times."""

    tolerance: Tolerance = Tolerance(absolute=1e-6, relative=0.01)
    """How far a number in the candidate's answer may lie from stable's before it counts as another one."""

    tolerances: dict[str, Tolerance] = Field(default={}, max_length=100)
    """The same for single outputs, by name."""

    outcomes: Outcomes | None = None
    """How outcomes that are told later are judged; nothing is noted for them when absent."""

    @field_validator("metrics")
    @classmethod
    def _metrics_are_named_once(cls, metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
        each_named_once(metrics)
        return metrics

    def anchored(self, folder: PurePath) -> Self:
        """Return the analysis with relative paths counted from `folder`."""
        return self.model_copy(update={"metrics": tuple(metric.anchored(folder) for metric in self.metrics)})
