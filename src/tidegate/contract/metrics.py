"""Metrics of the user's own as signals: where a number is asked for, and what is made of it.

The limits are those of an AnalysisTemplate of Argo Rollouts, with the same defaults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, Field, JsonValue, Strict, field_validator, model_validator

from tidegate.contract.conditions import LONGEST, Condition, ConditionError
from tidegate.contract.documents import Document, Flag, Text
from tidegate.contract.problems import matching, problem
from tidegate.contract.quantities import Duration, Share, between

Direction = Literal["increase", "decrease", "either"]

#: What a query, a URL or a body may hold, and what stands for it.
PLACEHOLDERS = ("deployment", "candidate", "stable", "revision")
#: Names that the judge's own signals have.
TAKEN = ("errors", "latency", "rejections", "disagreement", "outcomes", "memory", "cpu", "restarts", "readiness")

_NAME_PATTERN = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HEADER_PATTERN = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"
#: Replicas and functions get no variable of this prefix.
_VARIABLE_PATTERN = "TIDEGATE_[A-Z0-9_]{1,100}"
_FUNCTION_PATTERN = "[A-Za-z_][A-Za-z0-9_]{0,99}"
_PLACE_PATTERN = r"\$?(\.?[A-Za-z0-9_-]{1,100}|\[-?[0-9]{1,6}\])(\.[A-Za-z0-9_-]{1,100}|\[-?[0-9]{1,6}\]){0,31}"
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_LONGEST_URL = 2048
_LONGEST_QUERY = 10_000
_WRITE_IT_ELSEWHERE = "a secret belongs into a header, by valueFromEnv: this document is stored and shown"
_SECRET_PARAMETER = re.compile(r"token|secret|passw|api_?key", re.IGNORECASE)
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token")

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text with its placeholders filled in; what stands for one is never searched for others."""
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], text)


def _with_placeholders(value: str) -> str:
    unknown = [name for name in _PLACEHOLDER.findall(value) if name not in PLACEHOLDERS]
    if unknown:
        raise problem(f"placeholders out of {', '.join(f'{{{{{name}}}}}' for name in PLACEHOLDERS)}", unknown[0])
    return value


def _url(value: str) -> str:
    expected = "an http:// or https:// URL without user and password"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise problem(expected, "a URL that cannot be read") from None
    odd = len(value) > _LONGEST_URL or re.search(r"[\x00-\x20\x7f\\]", _PLACEHOLDER.sub("", value)) is not None
    if odd or parts.scheme not in ("http", "https") or not host or parts.username is not None or "{" in parts.netloc:
        shown = f"{parts.scheme}://{host}/…" if host else value[:40]
        raise problem(expected, shown, hint=_WRITE_IT_ELSEWHERE if parts.username is not None else None)
    secret = next((name for name, _ in parse_qsl(parts.query) if _SECRET_PARAMETER.search(name)), None)
    if secret is not None:
        raise problem("a URL without a secret", f"…?{secret}=…", hint=_WRITE_IT_ELSEWHERE)
    return _with_placeholders(value)


def _condition(value: str) -> str:
    try:
        Condition(value)
    except ConditionError as error:
        raise problem(f"a condition on result ({error})", value) from None
    return value


Url = Annotated[Text, AfterValidator(_url), Field(max_length=_LONGEST_URL)]
Query = Annotated[Text, AfterValidator(_with_placeholders), Field(min_length=1, max_length=_LONGEST_QUERY)]
ConditionText = Annotated[Text, AfterValidator(_condition), Field(min_length=1, max_length=LONGEST)]
Place = Annotated[
    Text,
    matching(_PLACE_PATTERN, "a path such as data.items[0].value"),
    Field(json_schema_extra={"pattern": f"^{_PLACE_PATTERN}$"}),
]
Timeout = Annotated[Duration, between("100ms", "1m", Duration)]


class Header(Document):
    """One header; exactly one of the two says what it holds."""

    value: Annotated[Text, Field(max_length=1000)] | None = None
    """What is no secret. Headers that carry one by their name (authorization, cookie, x-api-key) take none."""

    value_from_env: (
        Annotated[
            Text,
            matching(_VARIABLE_PATTERN, "the name of a variable that begins with TIDEGATE_, such as TIDEGATE_TOKEN"),
            Field(json_schema_extra={"pattern": f"^{_VARIABLE_PATTERN}$"}),
        ]
        | None
    ) = None
    """The variable of the controller's environment that holds it, whole: for authorization with the word Bearer in
    front. Replicas never get it."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.value is None) == (self.value_from_env is None):
            raise problem("exactly one of value and valueFromEnv", sorted(self.model_fields_set))
        if self.value is not None and re.search(r"[\x00-\x1f\x7f]", self.value):
            raise problem("a value on one line", self.value)
        return self


Headers = Annotated[dict[Annotated[Text, Field(pattern=f"^{_HEADER_PATTERN}$")], Header], Field(max_length=20)]


def _without_secrets(headers: dict[str, Header]) -> dict[str, Header]:
    for name, header in headers.items():
        if name.lower() in _SECRET_HEADERS and header.value is not None:
            raise problem("valueFromEnv: this document is stored and shown", f"{name} with a value")
    return headers


class PrometheusProvider(Document):
    """A query to a Prometheus server, or to one that answers like it (Thanos, Mimir, VictoriaMetrics)."""

    address: Url
    """Where its API begins, e.g. `http://127.0.0.1:9090`."""

    query: Query | None = None
    """In PromQL. `result` is the list of the values found, one a series, or a number for a scalar."""

    headers: Headers = Field(default={})
    """Sent with each query."""

    timeout: Timeout = Duration.parse("10s")
    """How long one query may take."""

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, headers: dict[str, Header]) -> dict[str, Header]:
        return _without_secrets(headers)


class HttpProvider(Document):
    """An HTTP service that answers 2xx with a JSON document, of one megabyte at most."""

    url: Url
    """Asked as it is; redirects are not followed."""

    method: Literal["GET", "POST"] = "GET"
    """How it is asked."""

    headers: Headers = Field(default={})
    """Sent with each request."""

    body: JsonValue = None
    """What a POST sends, as JSON; texts in it may hold placeholders."""

    path: Place | None = None
    """Where in the document `result` is, e.g. `data.items[0].value`; the whole document when absent."""

    timeout: Timeout = Duration.parse("10s")
    """How long one request may take, whole."""

    @field_validator("headers")
    @classmethod
    def _no_secrets(cls, headers: dict[str, Header]) -> dict[str, Header]:
        return _without_secrets(headers)

    @model_validator(mode="after")
    def _only_post_has_a_body(self) -> Self:
        if self.body is not None and self.method != "POST":
            raise problem("no body for GET (method: POST sends one)", self.method)
        return self


class PythonProvider(Document):
    """A Python function, run in a process of its own each time, with the controller's interpreter and packages."""

    path: Annotated[Text, Field(min_length=1, max_length=4096)]
    """The file that defines it. A relative path counts from the folder of this document. It belongs to the user that
    runs the controller, and nobody else may write it; it is read anew each time."""

    function: Annotated[
        Text,
        matching(_FUNCTION_PATTERN, "the name of a function"),
        Field(json_schema_extra={"pattern": f"^{_FUNCTION_PATTERN}$"}),
    ] = "measure"
    """Called with a dict of `deployment`, `candidate`, `stable` and `revision`; what it returns, as JSON, is
    `result`."""

    trust: Flag = False
    """Whether this code may run. It runs with all that the controller's user may do, so it has to be said."""

    timeout: Timeout = Duration.parse("10s")
    """How long one call may take; then its process group is killed."""

    @field_validator("path")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if "\0" in value:
            raise problem("the path of a file", value)
        return value

    @model_validator(mode="after")
    def _is_trusted(self) -> Self:
        if not self.trust:
            hint = "the code runs with all that the controller's user may do"
            raise problem("trust: true, for code of your own that may run", self.trust, hint=hint)
        return self


class MetricTolerance(Document):
    """How far the candidate's value may lie from stable's: by the larger of the two."""

    relative: Amount = 0.0
    """By this share of stable's value: 0.2 is 20 %."""

    absolute: Amount = 0.0
    """By this much, in the value's own unit."""


class Compared(Document):
    """The candidate's value beside stable's: the provider is asked twice, `{{revision}}` is first the one, then the
    other."""

    direction: Direction = "increase"
    """Which way is harm."""

    tolerance: MetricTolerance
    """How much of it is none."""


class Counted(Document):
    """Cumulative counters of bad events and of all, per revision, judged by the e-process like errors are: under
    `analysis.alpha`, without a threshold of your own."""

    bad: Query
    """For `prometheus` a query, for `http` and `python` a path in the answer; `{{revision}}` says whose."""

    total: Query
    """The same for all events, the bad ones included."""

    objective: Annotated[Share, between("0%", "99%", Share)]
    """The tolerated share of bad events."""

    margin: Annotated[Share, between("0.01%", "50%", Share)] | None = None
    """How far the candidate's share may lie above stable's, or the objective where that is larger, and pass;
    `analysis.margin` when absent."""

    min_requests: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] | None = None
    """Events of the candidate before a step can pass; `analysis.minRequests` when absent."""


Limit = Annotated[int, Strict(), Field(ge=0, le=1000)]


class Metric(Document):
    """One metric of your own: exactly one of `prometheus`, `http`, `python` says where it comes from; conditions, or
    one of `compare` and `counted`, say what is made of it."""

    name: Annotated[
        Text, matching(_NAME_PATTERN, "a name of lower-case letters, digits and hyphens"),
        Field(json_schema_extra={"pattern": f"^{_NAME_PATTERN}$"}),
    ]  # fmt: skip
    """What the signal is called; each name once, and none of the judge's own."""

    prometheus: PrometheusProvider | None = None
    """A query to Prometheus."""

    http: HttpProvider | None = None
    """A JSON document over HTTP."""

    python: PythonProvider | None = None
    """A function of your own."""

    success_condition: ConditionText | None = None
    """When a measurement passes, e.g. `result[0] < 0.05`. Without it, whenever it does not fail."""

    failure_condition: ConditionText | None = None
    """When a measurement fails; asked first. Without it, whenever it does not pass. With both, what meets neither is
    inconclusive."""

    compare: Compared | None = None
    """Instead of conditions: the candidate's value beside stable's."""

    counted: Counted | None = None
    """Instead of conditions: counters of bad events and of all."""

    interval: Annotated[Duration, between("500ms", "1h", Duration)] = Duration.parse("10s")
    """Time between the begins of two measurements."""

    initial_delay: Annotated[Duration, between("0s", "24h", Duration)] = Duration.parse("0s")
    """How long after the candidate's first traffic the first measurement is made."""

    count: Annotated[int, Strict(), Field(ge=1, le=1000)] = 1
    """Measurements that must pass in a step before the step can."""

    failure_limit: Limit = 0
    """Failed measurements that are borne over the rollout; one more is harm."""

    inconclusive_limit: Limit = 0
    """Inconclusive measurements that are borne in a step; with one more the step does not pass."""

    consecutive_error_limit: Limit = 4
    """Measurements in a row that may go wrong; with one more the candidate does not pass until one succeeds again."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Its share of the score beside the other signals."""

    critical: Flag = True
    """Whether harm takes the candidate back; if not, it is a warning."""

    dry_run: Flag = False
    """Whether it is shown and counts for nothing."""

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if name in TAKEN:
            raise problem("a name that no signal of the judge's own has", name)
        return name

    @model_validator(mode="after")
    def _from_one_place(self) -> Self:
        given = [name for name in ("prometheus", "http", "python") if getattr(self, name) is not None]
        if len(given) != 1:
            raise problem("exactly one of prometheus, http, python", given)
        return self

    @model_validator(mode="after")
    def _judged_in_one_way(self) -> Self:
        conditions = self.success_condition is not None or self.failure_condition is not None
        given = [name for name in ("compare", "counted") if getattr(self, name) is not None]
        given = [*(["conditions"] if conditions else []), *given]
        if len(given) != 1:
            raise problem("exactly one of conditions (successCondition, failureCondition), compare, counted", given)
        if self.prometheus is not None and (self.prometheus.query is None) != (self.counted is not None):
            raise problem("prometheus.query, or the two of counted", self.prometheus.query)
        return self

    @model_validator(mode="after")
    def _asks_for_each_revision(self) -> Self:
        if self.compare is None and self.counted is None:
            return self
        # A function is told which revision it is asked about.
        asked: list[str] = []
        if self.prometheus is not None:
            asked = [self.prometheus.query or ""] if self.counted is None else [self.counted.bad, self.counted.total]
        elif self.http is not None:
            asked = [f"{self.http.url} {self.http.body}"]
        for text in asked:
            if "revision" not in _PLACEHOLDER.findall(text):
                raise problem("{{revision}}, so that each revision is asked for", text)
        return self

    @model_validator(mode="after")
    def _counters_are_at_a_place(self) -> Self:
        if self.counted is not None and self.prometheus is None:
            for place in (self.counted.bad, self.counted.total):
                if re.fullmatch(_PLACE_PATTERN, place) is None:
                    raise problem("paths in counted, such as data.items[0].value", place)
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with a relative path counted from `folder`."""
        if self.python is None:
            return self
        return self.model_copy(
            update={"python": self.python.model_copy(update={"path": str(folder / self.python.path)})}
        )


def each_named_once(metrics: Sequence[Metric]) -> None:
    """Raise a problem where two have one name."""
    names = [metric.name for metric in metrics]
    if len(set(names)) != len(names):
        raise problem("each name once", names)
