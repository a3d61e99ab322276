"""Whether the controller watches what stable is asked and answers for drift: a part of the request document."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, field_validator, model_validator

from tidegate.contract.documents import Document, Flag
from tidegate.contract.health import FilePath
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, Share, between

Psi = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]


Drop = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Named = Annotated[str, Strict(), Field(min_length=1, max_length=256)]


class DriftQuality(Document):
    """How right answers are, read from the log of predictions and what was told of them: by what really was, as it
    arrives, and of classifiers with scores before that, as far as their scores tell."""

    period: Annotated[Duration, between("2s", "2160h", Duration)] = Duration.parse("168h")
    """Quality is of the answers of so long before a reading. Longer than what really was takes to be known."""

    drop: Drop = 0.05
    """What a share may lose, accuracy say, before it is worse: 0 to 1."""

    rise: Annotated[Share, between("0%", "100%", Share)] = Share.parse("10%")
    """What an error may grow before it is worse, MAE say, as a share of what it was."""

    alpha: Annotated[Share, between("0.0001%", "50%", Share)] = Share.parse("1%")
    """The chance that anything is called worse where nothing is, over all figures and all readings of a revision
    together. A half of it is for what really was, the other for what scores tell."""

    answer: Named | None = None
    """The output that is the answer; `prediction`, or the only one, when absent."""

    scores: Named | None = None
    """The output with the probabilities of the classes; `probabilities`, where there is one, when absent."""

    classes: Annotated[tuple[Named, ...], Field(max_length=1000)] = ()
    """Of the scores, in their order; told by the answers when empty."""

    positive: Named | None = None
    """The class that precision, recall and F1 are of; the last of two when absent."""

    kind: Literal["classes", "numbers"] | None = None
    """What answers are; what they look like when absent."""


class Drift(Document):
    """With what the requests and answers of the stable revision are compared, again and again, by the controller. Each
    reading is stored; see `tidegate drift history`."""

    reference: FilePath
    """What `tidegate drift reference` wrote, or data: CSV, JSON lines or Parquet, with named columns. Its bins and
    counts are kept with the revision; the file is not needed again."""

    columns: Annotated[
        tuple[Annotated[str, Strict(), Field(min_length=1, max_length=256)], ...], Field(max_length=1000)
    ] = ()
    """Only these columns of the reference: inputs by their names, outputs as `tidegate report` calls them. All that
    the model has of them when empty."""

    interval: Annotated[Duration, between("2s", "24h", Duration)] = Duration.parse("5m")
    """Time between two readings. There is none where nothing was counted since the last one."""

    period: Annotated[Duration, between("2s", "168h", Duration)] = Duration.parse("1h")
    """A reading is of what was counted in so long before it."""

    moderate: Psi = 0.1
    """From this PSI of a column on, a change is drift."""

    large: Psi = 0.25
    """From this PSI on it is large."""

    alpha: Annotated[Share, between("0.0001%", "50%", Share)] = Share.parse("1%")
    """The chance that anything is called drift where there is none, over all columns and all readings of a revision
    together."""

    reference_period: Annotated[Duration, between("2s", "2160h", Duration)] = Duration.parse("168h")
    """The reference of `quality` and `together` is what the revision was asked and answered at first, for so long: of
    what is in the log of predictions still."""

    quality: DriftQuality = DriftQuality()
    """How right answers are, where `predictionLog` goes to the store."""

    together: Flag = False
    """Whether a classifier compares all inputs of the last `period` at once with those of the reference period, where
    `predictionLog` goes to the store. It takes scikit-learn, and a half of `alpha`."""

    @field_validator("columns")
    @classmethod
    def _each_once(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(columns)) != len(columns):
            raise problem("each column once", list(columns))
        return columns

    @model_validator(mode="after")
    def _make_sense_together(self) -> Self:
        if self.large < self.moderate:
            raise problem(f"drift.moderate ({self.moderate:g}) or more", self.large, path="drift.large")
        if self.period < self.interval:
            raise problem(
                f"no less than drift.interval, which is {self.interval}", str(self.period), path="drift.period"
            )
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with a relative path counted from `folder`."""
        return self.model_copy(update={"reference": str(folder / self.reference)})
