"""What is told of a version of a model beside its bundle: metrics, and what it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from tidegate.contract.documents import Document, Text, invalid_document
from tidegate.contract.errors import InvalidInput
from tidegate.contract.models import parse_reference
from tidegate.contract.problems import matching, problem, shown

MOST_METRICS = 500
MOST_DATA = 100
LONGEST_METRIC_NAME = 250

_SHA256 = "[0-9a-f]{64}"

Told = Annotated[Text, Field(min_length=1, max_length=2000)]


def _version(text: str) -> str:
    try:
        reference = parse_reference(text)
    except InvalidInput as error:
        raise problem("a version of a model such as models:/churn/3", text) from error
    if reference.version is None:
        raise problem("a version by its number, which stays the same one, such as models:/churn/3", text)
    return str(reference)


class DataSource(Document):
    """Data that a model was trained on."""

    uri: Told
    """Where it is: a path, a URL, the name of a table."""

    sha256: Annotated[Text, matching(_SHA256, "a sha256 of 64 hexadecimal digits")] | None = None
    """Of the file, where there is one."""


class Lineage(Document):
    """What a version of a model was made from."""

    data: Annotated[tuple[DataSource, ...], Field(max_length=MOST_DATA)] = ()
    """The data that it was trained on."""

    code: Told | None = None
    """The code that trained it: a commit, a URL, an image."""

    parent: Annotated[Text, AfterValidator(_version)] | None = None
    """The version that it was made from, as `models:/NAME/VERSION`."""

    run: Told | None = None
    """The run of an experiment tracker that made it."""


def parse_lineage(document: Mapping[str, Any]) -> Lineage:
    """Read a lineage from its JSON form; InvalidInput with a line for each field that is wrong."""
    try:
        return Lineage.model_validate(dict(document), by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("lineage", Lineage, document, error) from None


def check_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as numbers by their names.

    Raises:
        InvalidInput: one is no finite number (NaN says nothing and cannot be compared), a name cannot be one, or there
            are too many.
    """
    if len(metrics) > MOST_METRICS:
        raise InvalidInput(
            f"a version has at most {MOST_METRICS} metrics",
            subject="metrics",
            expected=f"at most {MOST_METRICS}",
            got=str(len(metrics)),
        )
    for name, value in metrics.items():
        if not 1 <= len(name) <= LONGEST_METRIC_NAME or not name.isprintable():
            raise InvalidInput(
                f"metrics: expected a name of 1 to {LONGEST_METRIC_NAME} printable characters, got {shown(name)}",
                subject="metrics",
            )
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            raise InvalidInput(
                f"metrics.{name}: expected a finite number, got {shown(value)}",
                subject=f"metrics.{name}",
                expected="a finite number",
                got=shown(value),
                hint="leave out a metric that has no value",
            )
    return {name: float(value) for name, value in metrics.items()}


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no double can hold
        return False
