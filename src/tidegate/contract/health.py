"""Checks of running replicas: what is asked, how often, and what a failure means. Timing and thresholds have the names,
meanings and defaults of Kubernetes' probes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator

from tidegate.contract.documents import Document, Flag, Whole
from tidegate.contract.problems import matching, problem
from tidegate.contract.quantities import Duration, between

MOST_CHECKS = 20

_LABEL_PATTERN = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_PATH_PATTERN = "/[!-~]*"
_HEADER_PATTERN = "[A-Za-z0-9-]{1,64}"
_ENTRY_PATTERN = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*"
_RESERVED = ("liveness", "readiness", "startup")
_LONGEST_TEXT = 4096


def _plain(value: str) -> str:
    if "\0" in value or "\n" in value or "\r" in value:
        raise problem("text on one line", value)
    return value


def _path(value: str) -> str:
    if not value or "\0" in value:
        raise problem("the path of a file or folder", value)
    return value


Word = Annotated[str, Strict(), Field(max_length=_LONGEST_TEXT), AfterValidator(_plain)]
FilePath = Annotated[
    str, Strict(), Field(max_length=_LONGEST_TEXT, json_schema_extra={"minLength": 1}), AfterValidator(_path)
]


class HttpCheck(Document):
    """A GET request to the replica. A status from 200 to 399 passes; a redirect is not followed."""

    path: Annotated[
        str,
        Strict(),
        Field(max_length=2000, json_schema_extra={"pattern": f"^{_PATH_PATTERN}$"}),
        matching(_PATH_PATTERN, "a path that begins with /, such as /healthz"),
    ]
    """Path and query, from the replica's root."""

    headers: dict[Annotated[str, Strict(), matching(_HEADER_PATTERN, "the name of a header")], Word] = Field(
        default={}, max_length=20
    )
    """Headers of the request. No place for secrets: this document is stored and shown."""


class HealthCheck(Document):
    """One check of each replica. What is asked is one of `http`, `command`, `python` and `golden`."""

    http: HttpCheck | None = None
    """A request to the replica."""

    command: Annotated[tuple[Word, ...], Field(min_length=1, max_length=100)] | None = None
    """A program and its arguments; exit code 0 passes. `{url}`, `{host}`, `{port}` (of the replica), `{deployment}`,
    `{revision}`, `{replica}` and `{python}` are filled in. A program that is named with a slash counts from `folder`.
    It runs beside the controller, with few of its environment's variables, and ends with all that it started when
    `timeout` is up."""

    python: (
        Annotated[
            str,
            Strict(),
            Field(max_length=200, json_schema_extra={"pattern": f"^{_ENTRY_PATTERN}$"}),
            matching(_ENTRY_PATTERN, "module:function, such as checks:is_well"),
        ]
        | None
    ) = None
    """`module:function`, a function that gets the replica's URL. It passes when it returns nothing or True, and fails
    when it returns False or raises. It runs in a process of its own; modules are looked for in `folder` first."""

    golden: FilePath | None = None
    """A file with golden requests, as for `gates.golden`; it passes when all answers are those expected."""

    folder: FilePath | None = None
    """Where `command` and `python` run; the folder of this document when absent."""

    initial_delay: Annotated[Duration, between("0s", "1h", Duration)] = Duration.parse("0s")
    """How long after the replica has started the check begins."""

    period: Annotated[Duration, between("100ms", "1h", Duration)] = Duration.parse("10s")
    """Time between two attempts; there is never more than one under way."""

    timeout: Annotated[Duration, between("10ms", "10m", Duration)] = Duration.parse("1s")
    """How long one attempt may take, whole; beyond that it failed."""

    success_threshold: Annotated[Whole, Field(ge=1, le=1000)] = 1
    """Attempts in a row that must pass before a check that failed passes again; 1 for liveness and startup."""

    failure_threshold: Annotated[Whole, Field(ge=1, le=1000)] = 3
    """Attempts in a row that must fail before the check fails."""

    @property
    def asked(self) -> list[str]:
        """What is asked; one name at most."""
        return [name for name in ("http", "command", "python", "golden") if getattr(self, name) is not None]

    @property
    def needs_folder(self) -> bool:
        return self.command is not None or self.python is not None

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if len(self.asked) > 1:
            raise problem("one of http, command, python and golden", self.asked)
        if self.folder is not None and not self.needs_folder:
            raise problem("no folder: only command and python run in one", self.folder)
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the check with relative paths counted from `folder`."""
        golden = None if self.golden is None else str(folder / self.golden)
        here = str(folder / (self.folder or "")) if self.needs_folder else None
        return self.model_copy(update={"golden": golden, "folder": here})


class OneSuccess(HealthCheck):
    """As every check; a single success is enough."""

    @model_validator(mode="after")
    def _one_success(self) -> Self:
        if self.success_threshold != 1:
            raise problem("a successThreshold of 1, as for all liveness and startup", self.success_threshold)
        return self


class CustomCheck(HealthCheck):
    """A check of your own, beside the three."""

    name: Annotated[
        str,
        Strict(),
        Field(json_schema_extra={"pattern": f"^{_LABEL_PATTERN}$"}),
        matching(_LABEL_PATTERN, "a name of lower-case letters, digits and hyphens"),
    ]
    """What it is called in `status`, events and messages; each name once."""

    affects: Literal["readiness", "liveness", "nothing"] = "readiness"
    """What its failure means: `readiness`, the replica gets no requests until it passes again; `liveness`, the replica
    is restarted; `nothing`, it is told of."""

    critical: Flag = False
    """Whether its failure on a candidate ends the rollout: it is taken back, unless stable fails the same check."""

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if not self.asked:
            raise problem("one of http, command, python and golden", None)
        if self.affects == "liveness" and self.success_threshold != 1:
            raise problem("a successThreshold of 1, as for all that affects liveness", self.success_threshold)
        return self


class HealthChecks(Document):
    """When a replica counts as broken."""

    ready_within: Annotated[Duration, between("1s", "1h", Duration)] = Duration.parse("60s")
    """Time that a revision's replicas have to become ready."""

    max_restarts: Annotated[Whole, Field(ge=0, le=1000)] = 3
    """Deaths of a candidate's replicas that are borne before it is rolled back."""

    startup: OneSuccess | None = None
    """When a replica has started; until then no other check begins. One that fails is killed and started again. When
    absent, it has started when its server first says that it is ready, and must listen within 60 s."""

    liveness: OneSuccess | None = None
    """Whether a replica must be restarted; never several of a revision at a time. When absent, one that gives no
    answer for 10 s is. Asks the server's own `/v2/health/live` where it does not say what to ask."""

    readiness: HealthCheck | None = None
    """Whether a replica gets requests, beside what its server says of itself, which the gateway always heeds. Asks the
    server's own `/v2/health/ready` where it does not say what to ask."""

    custom: Annotated[tuple[CustomCheck, ...], Field(max_length=MOST_CHECKS)] = ()
    """Checks of your own."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [check.name for check in self.custom]
        if len(set(names)) != len(names) or set(names) & set(_RESERVED):
            raise problem(f"each name once, and none of {', '.join(_RESERVED)}", names, path="healthChecks.custom")
        return self

    def every(self) -> dict[str, HealthCheck]:
        """Return the checks that are asked for, by name."""
        three = {"startup": self.startup, "liveness": self.liveness, "readiness": self.readiness}
        return {
            **{name: check for name, check in three.items() if check is not None},
            **{check.name: check for check in self.custom},
        }

    def anchored(self, folder: PurePath) -> Self:
        """Return the checks with relative paths counted from `folder`."""
        three = {
            name: None if check is None else check.anchored(folder)
            for name, check in (("startup", self.startup), ("liveness", self.liveness), ("readiness", self.readiness))
        }
        custom = tuple(check.anchored(folder) for check in self.custom)
        return self.model_copy(update={**three, "custom": custom})
