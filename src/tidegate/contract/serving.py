"""How a deployment's replicas answer: together, from what they kept, and with or without writing it down."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Strict

from tidegate.contract.documents import Document
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, Memory, Share, between

CacheStore = Literal["off", "memory", "redis"]

_SINK_PATTERN = "[a-z][a-z0-9_-]{0,62}:.+"
_LONGEST_SINK = 4096
#: Sinks that are files: two replicas that write one would tear each other's lines.
_FILES = ("jsonl",)


def _sink(value: str) -> str:
    if re.fullmatch(_SINK_PATTERN, value) is None or "\0" in value or len(value) > _LONGEST_SINK:
        raise problem("a sink and its argument, such as jsonl:/var/log/churn-{revision}-{replica}.jsonl", value)
    name, _, argument = value.partition(":")
    if name in _FILES and not ("{revision}" in argument and "{replica}" in argument):
        raise problem(
            "a path with {revision} and {replica} in it", value, hint="every replica writes a file of its own"
        )
    return value


class Batching(Document):
    """How many requests that wait a replica answers together. Nobody waits for company: what waits is taken."""

    max_requests: Annotated[int, Strict(), Field(ge=1, le=4096)] = 128
    """The most requests in one run of the model; 1 turns batching off."""

    max_rows: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] = 4096
    """The most rows that several requests may have together; a request with more is answered alone."""


class Cache(Document):
    """Whether answers are kept and given out again to equal requests."""

    store: CacheStore = "off"
    """Where: in each replica's memory, or in Redis, whose URL the controller has from its environment variable
    `TIDEGATE_CACHE_URL`."""

    ttl: Annotated[Duration, between("1ms", "24h", Duration)] = Duration.parse("5m")
    """How long an answer is given out again."""

    max_size: Annotated[Memory, between("1Ki", "1Ti", Memory)] = Memory.parse("64Mi")
    """The most that a replica's memory holds of them; in Redis its own `maxmemory` rules."""


class Features(Document):
    """From where rows of requests to `/predict` that name an entity are completed: `{"entities": ["42"]}`, or rows with
    the column of the entity beside what is known at the time of the request."""

    view: Annotated[str, Strict(), Field(pattern="^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$")]
    """The feature view; see `tidegate features`."""

    entity: Annotated[str, Strict(), Field(min_length=1, max_length=100)]
    """The column of a row that holds the key of its entity."""

    max_age: Annotated[Duration, between("1ms", "24h", Duration)] = Duration.parse("10s")
    """How long a vector is used that Redis has kept, where `cache.store` is `redis`. Else each request asks the
    store."""


class PredictionLog(Document):
    """Which predictions are written down, and where."""

    sink: (
        Annotated[
            str,
            Strict(),
            AfterValidator(_sink),
            Field(json_schema_extra={"pattern": f"^{_SINK_PATTERN}$", "maxLength": _LONGEST_SINK}),
        ]
        | None
    ) = None
    """Where, as NAME:ARGUMENT; `jsonl:PATH` is a file of JSON lines. `{deployment}`, `{revision}` and `{replica}`
    are replaced; a path must have the last two in it. The workers of a replica share its file. Nowhere when absent.
    No place for secrets: it is shown."""

    sample: Annotated[Share, between("0%", "100%", Share)] = Share.parse("100%")
    """Share of the requests, chosen by their `x-request-id`."""

    @property
    def path(self) -> str | None:
        """The file that is written, its placeholders as they are; None when the sink is none, or no file."""
        name, _, argument = (self.sink or "").partition(":")
        return argument if name in _FILES else None

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with a relative path counted from `folder`."""
        if self.sink is None or self.path is None:
            return self
        return self.model_copy(update={"sink": f"{self.sink.partition(':')[0]}:{folder / self.path}"})
