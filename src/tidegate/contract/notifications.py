"""Whom a rollout is told to, and whom it asks before it goes on: notifications and hooks of a request document.

The document is stored and shown, so it must hold no secret. A URL that is one (chat services put the key into the
path) is named, not written: by a variable of the controller's environment, or by a file that only its owner can read.
"""

from __future__ import annotations

import re
from pathlib import PurePath, PurePosixPath
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, Strict, field_validator, model_validator

from tidegate.contract.documents import Document
from tidegate.contract.problems import problem
from tidegate.contract.quantities import Duration, between

Moment = Literal[
    "started",
    "step",
    "waiting",
    "arm-out",
    "failed",
    "rolled-back",
    "aborted",
    "promoted",
    "harm-after-end",
    "drifted",
    "drift-over",
]
MOMENTS: tuple[Moment, ...] = get_args(Moment)

HookType = Literal[
    "confirm-rollout",
    "pre-rollout",
    "rollout",
    "confirm-traffic-increase",
    "confirm-promotion",
    "post-rollout",
    "rollback",
    "event",
]

_LONGEST_URL = 2048
#: Replicas get no variable of this prefix, so a model's code cannot read what is meant for the controller.
_VARIABLE_PATTERN = "TIDEGATE_[A-Z0-9_]{1,100}"
_LABEL_PATTERN = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
#: Where the path of an http(s) URL is the key.
KEYED_HOSTS = (
    "hooks.slack.com",
    "discord.com",
    "discordapp.com",
    "webhook.office.com",
    "outlook.office.com",
    "chat.googleapis.com",
    "hooks.zapier.com",
    "maker.ifttt.com",
    "api.telegram.org",
)
_KEY_LIKE = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_\-]{20,}")
_WRITE_IT_ELSEWHERE = "a URL with a secret belongs into urlFromEnv or urlFromFile: this document is stored and shown"


def concealed(url: str) -> str:
    """Return scheme and host of a URL and nothing that could be a secret: `https://hooks.slack.com/…`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "a URL that cannot be read"
    if parts.scheme in ("http", "https") and host:
        return f"{parts.scheme}://{host}{f':{port}' if port else ''}{'/…' if parts.path.strip('/') else ''}"
    # Apprise's URLs may have a key in place of the host.
    return f"{parts.scheme}://…" if parts.scheme else "a URL without a scheme"


def is_keyed_host(host: str) -> bool:
    """Say whether URLs of this host carry their key in the path."""
    return any(host == keyed or host.endswith(f".{keyed}") for keyed in KEYED_HOSTS)


def _plain_url(value: str) -> str:
    expected = "an http:// or https:// URL without user, password, query, fragment or key"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise problem(expected, concealed(value)) from None
    if len(value) > _LONGEST_URL or re.search(r"[\s\x00-\x1f\x7f\\]", value) or not host:
        raise problem(expected, concealed(value))
    looks_secret = (
        parts.scheme not in ("http", "https")
        or parts.username is not None
        or parts.password is not None
        or parts.query
        or parts.fragment
        or is_keyed_host(host)
        or any(_KEY_LIKE.fullmatch(segment) for segment in parts.path.split("/"))
    )
    if looks_secret:
        raise problem(expected, concealed(value), hint=_WRITE_IT_ELSEWHERE)
    return value


def _variable(value: str) -> str:
    if re.fullmatch(_VARIABLE_PATTERN, value) is None:
        got = concealed(value) if "://" in value else value
        raise problem("the name of a variable that begins with TIDEGATE_, such as TIDEGATE_SLACK_URL", got)
    return value


def _file(value: str) -> str:
    if not value or "\0" in value or len(value) > 4096 or "://" in value:
        raise problem("the path of a file", concealed(value) if "://" in value else value)
    return value


def _label(value: str) -> str:
    if re.fullmatch(_LABEL_PATTERN, value) is None:
        raise problem("a name of lower-case letters, digits and hyphens", value)
    return value


class Receiver(Document):
    """Somebody at the other end of a URL. Exactly one of the three says where."""

    name: Annotated[str, Strict(), AfterValidator(_label), Field(json_schema_extra={"pattern": f"^{_LABEL_PATTERN}$"})]
    """What it is called in the record of deliveries and in messages; each name once."""

    url: Annotated[str, Strict(), AfterValidator(_plain_url)] | None = None
    """An http or https URL that is no secret. One with a user, a query, or what looks like a key is refused."""

    url_from_env: (
        Annotated[
            str,
            Strict(),
            AfterValidator(_variable),
            Field(json_schema_extra={"pattern": f"^{_VARIABLE_PATTERN}$"}),
        ]
        | None
    ) = None
    """The variable of the controller's environment that holds the URL. Replicas never get it."""

    url_from_file: Annotated[str, Strict(), AfterValidator(_file)] | None = None
    """A file with the URL on its first line, which nobody but its owner may read or write (`chmod 600`). It is read
    anew each time. A relative path counts from the folder of this document."""

    timeout: Annotated[Duration, between("100ms", "1m", Duration)] = Duration.parse("10s")
    """How long one call may take, whole."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [
            alias
            for alias, value in (
                ("url", self.url),
                ("urlFromEnv", self.url_from_env),
                ("urlFromFile", self.url_from_file),
            )
            if value is not None
        ]
        if len(given) != 1:
            raise problem("exactly one of url, urlFromEnv, urlFromFile", given)
        return self

    def anchored(self, folder: PurePath) -> Self:
        """Return the same with a relative path counted from `folder`."""
        if self.url_from_file is None:
            return self
        return self.model_copy(update={"url_from_file": str(folder / self.url_from_file)})

    @property
    def shown(self) -> str:
        """Where it is, for people and without a secret."""
        if self.url is not None:
            return concealed(self.url)
        if self.url_from_env is not None:
            return f"${self.url_from_env}"
        return f"file {PurePosixPath(self.url_from_file or '').name}"


class Notification(Receiver):
    """Who is told when something happens to a deployment. A URL of http or https gets a CloudEvent; every other one
    (slack, mailto, pagerduty, …) and the webhooks of chat services get a message through Apprise, for which
    `tidegate[notify]` is installed."""

    when: Annotated[tuple[Moment, ...], Field(min_length=1)] = MOMENTS
    """At which moments. `waiting`: it is paused for a person, or a hook holds it. `arm-out`: an arm
    of an A/B test was taken back, and others go on. `failed`: a first revision never got ready. `harm-after-end`:
    outcomes that were told later show harm of a revision whose rollout has ended. `drifted`, `drift-over`: what the
    stable revision is asked or answers has drifted from its reference (`drift`), and is like it again."""

    @field_validator("when")
    @classmethod
    def _each_once(cls, when: tuple[Moment, ...]) -> tuple[Moment, ...]:
        if len(set(when)) != len(when):
            raise problem("each moment once", list(when))
        return when


class Hook(Receiver):
    """An HTTP service that is asked at a point of a rollout, by a POST of JSON, or told of it. The points are those
    of Flagger."""

    type: HookType
    """`confirm-rollout` is asked before the candidate's replicas start, `confirm-traffic-increase` before each step,
    `confirm-promotion` before the candidate becomes stable: 200 lets the rollout go on, anything else lets it wait.
    `pre-rollout` is asked before the candidate's first traffic, `rollout` again and again while it has some: without
    a 2xx the candidate is taken back. `rollback` is asked again and again as well: a 2xx takes the candidate back.
    `post-rollout` is told of the end, `event` of every event, as CloudEvents."""

    interval: Annotated[Duration, between("100ms", "1h", Duration)] = Duration.parse("5s")
    """Time between two calls, for those that are asked again."""

    retries: Annotated[int, Strict(), Field(ge=0, le=100)] = 3
    """For `pre-rollout` and `rollout`: how many failed calls in a row are borne."""

    wait_at_most: Annotated[Duration, between("1s", "168h", Duration)] | None = None
    """For `confirm-…`: how long to wait for a 200, without end when absent. Time without a controller does not
    count."""

    on_failure: Literal["rollback", "continue"] = "rollback"
    """What follows when `waitAtMost` or `retries` are used up."""

    metadata: dict[str, Annotated[str, Strict()]] = Field(default={}, max_length=50)
    """Handed on in the body of each call. No place for secrets: it is shown."""
