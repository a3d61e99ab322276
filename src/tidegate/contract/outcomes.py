"""Which outcomes of requests are bad, and how they are judged: a part of the request document."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from tidegate.contract.documents import Document
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, Share, between

Label = Annotated[str, Strict(), Field(min_length=1, max_length=100)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class BadWhen(Document):
    """Which outcomes are bad that are sent as a label or a number, rather than as good or bad."""

    labels: Annotated[tuple[Label, ...], Field(max_length=100)] = ()
    """The labels that are bad, such as `refund`; every other one is good."""

    below: Number | None = None
    """Numbers below this are bad."""

    above: Number | None = None
    """Numbers above this are bad."""


class Outcomes(Document):
    """What came of requests later: told with the request's id at `POST /v1/deployments/NAME/outcomes`."""

    bad: Annotated[Share, between("0%", "99%", Share)]
    """The share of bad outcomes that is tolerated. A candidate fails above it, where it is worse than stable, too."""

    window: Annotated[Duration, between("1s", "720h", Duration)] = Duration.parse("1m")
    """How long after its answer a request is given for its outcome to be told. It counts when this time is over, and
    not sooner, so that every request was given equally long. What is told later is kept and does not count."""

    missing: Literal["ignore", "good", "bad"] = "ignore"
    """What a request counts as whose outcome was not told within the window: nothing, or an event that is good (where
    only complaints are told) or bad (where only purchases are)."""

    wait: Annotated[bool, Strict()] = True
    """Whether a step waits for outcomes before it passes. If not, they only take a candidate back."""

    bad_when: BadWhen | None = None
    """Which labels and numbers are bad; needed where outcomes are sent as such."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        rule = self.bad_when
        if rule is not None and not rule.labels and rule.below is None and rule.above is None:
            raise problem("labels, below or above", {}, path="badWhen")
        return self
