"""How a deployment's replicas answer: together, from what they kept, and with or without writing it down."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from tidegate.contract.documents import Document
from tidegate.contract.health import FilePath
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, Memory, Share, between

CacheStore = Literal["off", "memory", "redis"]

_SINK_PATTERN = "([a-z][a-z0-9_-]{0,62}:.+|store:)"
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
    if name == "postgresql" and re.search(r"//[^/@]*:[^/@]*@|password=", argument):
        hint = "use store: with the whole URL in TIDEGATE_SERVING_STORE, or a file that PGPASSFILE names"
        raise problem("a URL without a password, since it is shown", f"{name}:…", hint=hint)
    return value


_FieldNames = Annotated[
    tuple[Annotated[str, Strict(), Field(min_length=1, max_length=256)], ...], Field(max_length=1000)
]


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


class PersonalFields(Document):
    """Inputs and outputs, by name, that are not written down as they are, whatever the sink. A name that the model does
    not have is refused."""

    drop: _FieldNames = ()
    """Those that are left away."""

    hash: _FieldNames = ()
    """Those of which hashes are written: HMAC-SHA256 with a key. Equal values have equal hashes, so rows of one person
    can be joined; who does not have the key cannot find the value by trying."""

    key_file: FilePath | None = None
    """The file with the key, at least 16 bytes. In the controller's environment variable `TIDEGATE_PREDICTION_LOG_KEY`
    when absent."""

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        both = sorted(set(self.drop) & set(self.hash))
        if both:
            raise problem("each name in drop or in hash", both)
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with a relative path counted from `folder`."""
        return self if self.key_file is None else self.model_copy(update={"key_file": str(folder / self.key_file)})


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
    are replaced; a path must have the last two in it. The workers of a replica share its file. `store:` is the
    controller's own store, or the one that `TIDEGATE_SERVING_STORE` in its environment names;
    `postgresql://USER@HOST/DATABASE` is another database with Tidegate's tables. Nowhere when absent. No place for
    secrets: it is shown."""

    sample: Annotated[Share, between("0%", "100%", Share)] = Share.parse("100%")
    """Share of the requests, chosen by their `x-request-id`."""

    personal: PersonalFields = PersonalFields()
    """What is not written down as it is."""

    @property
    def path(self) -> str | None:
        """The file that is written, its placeholders as they are; None when the sink is none, or no file."""
        name, _, argument = (self.sink or "").partition(":")
        return argument if name in _FILES else None

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with relative paths counted from `folder`."""
        changed: dict[str, object] = {"personal": self.personal.anchored(folder)}
        if self.sink is not None and self.path is not None:
            changed["sink"] = f"{self.sink.partition(':')[0]}:{folder / self.path}"
        return self.model_copy(update=changed)
