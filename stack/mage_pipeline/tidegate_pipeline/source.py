"""Where records come from: the document of an HTTP API that is read page by page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from tidegate.contract.documents import Document, Text, Whole, invalid_document
from tidegate.contract.errors import InvalidInput
from tidegate.contract.problems import matching
from tidegate_pipeline.backoff import Patience

Name = Annotated[Text, matching("[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", "1 to 63 lower-case letters, digits, - and _")]
Positive = Annotated[float, Field(gt=0, le=86_400)]


class _Sized(Document):
    size: Annotated[Whole, Field(ge=1)] | None = None
    """How many records a page is to have."""

    size_param: Text | None = None
    """The parameter that says so."""


class ByPage(_Sized):
    """Pages have numbers. The last one is empty, or the one that `pages` names."""

    by: Literal["page"] = "page"
    param: Text = "page"
    first: Whole = 1
    pages: Text | None = None
    """Where a page says how many there are, as names with dots between them."""


class ByToken(_Sized):
    """Each page has the token of the next one; the last has none."""

    by: Literal["token"]
    param: Text = "cursor"
    next: Text = "next"
    """Where a page has it, as names with dots between them."""


class ByLink(Document):
    """Each page has the URL of the next one, at the same server; the last has none."""

    by: Literal["link"]
    next: Text = "next"


class Stream(Document):
    """A part of a source that has pages of its own, such as those of one airline."""

    name: Name
    params: Annotated[dict[Text, Text], Field(default_factory=dict)]
    """Added to each request."""


class Source(Document):
    """An HTTP API whose records become vectors of a feature view."""

    name: Name
    """What its cursors and dead letters go by."""

    url: Annotated[Text, matching("https?://.+", "an address that begins with http:// or https://")]
    view: Text
    """The feature view; it must be there."""

    entity_column: Text | None = None
    """The field of a record that holds the key of its entity; left out: called as the view's entity."""

    time_column: Text = "at"
    """The field that says from when on a record is true."""

    records: Text = ""
    """Where a page has its list of records, as names with dots between them; left out: the page is the list."""

    paging: Annotated[ByPage | ByToken | ByLink, Field(discriminator="by")] = ByPage()
    params: Annotated[dict[Text, Text], Field(default_factory=dict)]
    streams: Annotated[tuple[Stream, ...], Field(min_length=1)] = (Stream(name="all", params={}),)
    """Read beside each other, each with a cursor of its own."""

    token_from_env: Text | None = None
    """The variable that holds the bearer token."""

    concurrency: Annotated[Whole, Field(ge=1, le=64)] = 4
    """Requests at once, over all streams."""

    requests_per_second: Positive = 10.0
    burst: Annotated[Whole, Field(ge=1)] = 1
    """Requests that may go at once after a pause."""

    timeout_seconds: Positive = 30.0
    attempts: Annotated[Whole, Field(ge=1, le=100)] = Patience.attempts
    first_delay_seconds: Positive = Patience.first_delay_seconds
    longest_delay_seconds: Positive = Patience.longest_delay_seconds
    patience_seconds: Positive = Patience.seconds
    """For one page, all waits included."""

    pages_per_load: Annotated[Whole, Field(ge=1, le=1_000)] = 10
    """Pages that are written together; after each such write the cursor is stored."""

    most_lost: Annotated[Whole, Field(ge=0)] = 3
    """Pages, one after another, that may be given up; one more ends the run, before the first of them."""

    most_pages: Annotated[Whole, Field(ge=1)] = 1_000_000
    """Of one stream in one run: a source that never ends is not read for ever."""

    @property
    def patience(self) -> Patience:
        return Patience(self.attempts, self.first_delay_seconds, self.longest_delay_seconds, self.patience_seconds)


def parse_source(document: Any) -> Source:
    """Read the document of a source; InvalidInput with a line for each field that is wrong."""
    if not isinstance(document, dict):
        raise InvalidInput("a source is an object", subject="source", expected="an object with name, url and view")
    given = {"by": "page", **document["paging"]} if isinstance(document.get("paging"), dict) else None
    document = document if given is None else {**document, "paging": given}
    try:
        source = Source.model_validate(document, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid_document("source", Source, document, error) from None
    names = [stream.name for stream in source.streams]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(
            f"two streams are called {twice!r}", subject="streams", expected="a name of its own for each"
        )
    return source


def load_document(path: Path) -> Any:
    """Return what a YAML or JSON file holds; InvalidInput where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong.strerror}", subject=str(path)) from wrong
    except (yaml.YAMLError, UnicodeDecodeError) as wrong:
        raise InvalidInput(f"{path} is no YAML: {' '.join(str(wrong).split())}", subject=str(path)) from wrong
