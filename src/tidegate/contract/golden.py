"""Golden requests: inputs with the answers that a candidate must give before any user meets it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, Strict, ValidationError, model_validator

from tidegate.contract.documents import Document, invalid_document
from tidegate.contract.loading import load_text
from tidegate.contract.problems import problem

MOST_REQUESTS = 1000

Text = Annotated[str, Strict(), Field(min_length=1, max_length=200)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Object = dict[str, JsonValue]


class Tolerance(Document):
    """How far a number may be from the expected one: by the larger of the two. Labels, text and flags never may."""

    absolute: Amount = 0.0
    """By this much."""

    relative: Amount = 0.0
    """By this share of the expected number."""


#: Where nothing is said: what engines that compute the same in another order differ by.
USUAL = Tolerance(absolute=1e-6, relative=1e-6)


class Post(Document):
    """A request to a server that answers in a form of its own."""

    path: Annotated[str, Strict(), Field(pattern="^/", max_length=2000)]
    """Path of the request, from the replica's root."""

    body: JsonValue
    """What is sent, as JSON."""


class GoldenRequest(Document):
    """One request, in exactly one of three forms, and what its answer must hold. What `expect` leaves out is free."""

    name: Text | None = None
    """What it is about, for messages."""

    predict: list[JsonValue] | Object | None = None
    """The body of `POST /predict`; `expect` is then the list `predictions` of the answer."""

    infer: Object | None = None
    """The body of `POST /v2/models/NAME/infer` (Open Inference Protocol); `expect` is the list `outputs`."""

    post: Post | None = None
    """A request to a server of your own; `expect` is the whole answer."""

    expect: JsonValue = None
    """What the answer must hold; absent: it must be answered at all, with status 200."""

    tolerances: dict[str, Tolerance] = Field(default={})
    """By the name of an output; they win over those of the file."""

    @property
    def form(self) -> Literal["predict", "infer", "post"]:
        if self.predict is not None:
            return "predict"
        return "infer" if self.infer is not None else "post"

    def outputs(self) -> set[str]:
        """Return the names of the outputs that `expect` says something of; for `post`, the answer's own fields."""
        return set(_outputs(self.form, self.expect))

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = [name for name in ("predict", "infer", "post") if getattr(self, name) is not None]
        if len(given) != 1:
            raise problem("exactly one of predict, infer and post", given or None)
        if self.expect is None or self.form == "post":
            return self
        if not isinstance(self.expect, list) or not all(isinstance(item, dict) for item in self.expect):
            raise problem("the answer's list of objects (predictions, or outputs)", self.expect)
        if self.form == "infer" and not all(isinstance(name, str) for name in _names(self.expect)):
            raise problem("outputs that each have a name", self.expect)
        return self


def _names(tensors: Any) -> Iterator[Any]:
    yield from (tensor.get("name") for tensor in tensors)


def _outputs(form: str, expect: Any) -> Iterator[str]:
    if form == "post":
        yield from expect if isinstance(expect, dict) else ()
        return
    for item in expect or ():
        if form == "infer":
            yield item["name"]
        else:
            yield from item


class GoldenRequests(Document):
    """The file that `gates.golden` names."""

    requests: Annotated[tuple[GoldenRequest, ...], Field(min_length=1, max_length=MOST_REQUESTS)]
    """Sent one after the other, to a replica of the candidate itself."""

    tolerances: dict[str, Tolerance] = Field(default={})
    """By the name of an output; 1e-6, absolute and relative, for one that is not here."""

    def tolerance(self, request: GoldenRequest, output: str) -> Tolerance:
        """Return what holds for an output of one of the requests."""
        return request.tolerances.get(output) or self.tolerances.get(output) or USUAL

    @model_validator(mode="after")
    def _tolerances_are_used(self) -> Self:
        everywhere: set[str] = set()
        for request in self.requests:
            everywhere |= request.outputs()
            _refuse_unused(request.tolerances, request.outputs())
        _refuse_unused(self.tolerances, everywhere)
        return self


def _refuse_unused(tolerances: Mapping[str, Tolerance], outputs: set[str]) -> None:
    unused = sorted(set(tolerances) - outputs)
    if unused:
        known = ", ".join(sorted(outputs)) or "none"
        raise problem(f"tolerances of outputs that expect names ({known})", unused[0], path="tolerances")


def parse_golden(text: str, source_name: str) -> GoldenRequests:
    """Read golden requests from YAML or JSON.

    Args:
        source_name: the file's name; named in every message.

    Raises:
        InvalidInput: it cannot be read, or a part of it is wrong.
    """
    data = load_text(text, source_name, what="file of golden requests", field="requests")
    try:
        return GoldenRequests.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("file of golden requests", GoldenRequests, data, error) from None
