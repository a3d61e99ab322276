"""Where the pages of a source are, and what is in one. Pure.

A position names one page: by its number, by the token that the page before gave, or by the link that it gave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson

from tidegate.contract.errors import InvalidInput
from tidegate_pipeline.source import ByLink, ByPage, ByToken, Source, Stream


@dataclass(frozen=True)
class Position:
    """A page: its number, or the token or link that leads to it; None of a token or link is the first page."""

    page: int | None = None
    token: str | None = None
    link: str | None = None

    def as_document(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def __str__(self) -> str:
        if self.page is not None:
            return f"page {self.page}"
        return f"the page at {self.token or self.link}" if self.token or self.link else "the first page"


@dataclass(frozen=True)
class Page:
    """What is in a page.

    Attributes:
        following: the token or link of the next one; None at the end, or where pages have numbers.
        pages: how many there are, as far as it is told.
        digest: sha256 of the records: equal for a page that came again.
    """

    records: tuple[Any, ...]
    following: str | None
    pages: int | None
    digest: str


class UnfitPageError(ValueError):
    """An answer is no page; the message says why."""


def first_of(source: Source) -> Position:
    """Return where a source begins."""
    return Position(page=source.paging.first) if isinstance(source.paging, ByPage) else Position()


def position_of(document: Mapping[str, Any]) -> Position:
    """Return the position that `Position.as_document` wrote down."""
    return Position(document.get("page"), document.get("token"), document.get("link"))


def request_of(source: Source, stream: Stream, position: Position) -> tuple[str, dict[str, str]]:
    """Return the URL of a page, and the parameters to add to it."""
    parameters = {**source.params, **stream.params}
    paging = source.paging
    if isinstance(paging, ByLink):
        return (position.link, {}) if position.link is not None else (source.url, parameters)
    if paging.size is not None and paging.size_param is not None:
        parameters[paging.size_param] = str(paging.size)
    if isinstance(paging, ByPage):
        parameters[paging.param] = str(position.page)
    elif position.token is not None:
        parameters[paging.param] = position.token
    return source.url, parameters


def read(source: Source, body: bytes) -> Page:
    """Return the page that an answer holds.

    Raises:
        UnfitPageError: it is no JSON, or has no list where records are to be.
        InvalidInput: the next page is somewhere else, where what proves who we are must not go.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        raise UnfitPageError(f"is no JSON: {wrong}") from wrong
    records = _at(document, source.records)
    if not isinstance(records, list):
        place = f"at {source.records!r}" if source.records else "in it"
        raise UnfitPageError(f"has no list {place}")
    paging = source.paging
    following, pages = None, None
    if isinstance(paging, ByPage):
        found = _at(document, paging.pages) if paging.pages else None
        pages = found if isinstance(found, int) and not isinstance(found, bool) else None
    else:
        found = _at(document, paging.next)
        if isinstance(found, int) and not isinstance(found, bool):
            found = str(found)
        following = found if isinstance(found, str) and found else None
    if following is not None and isinstance(paging, ByLink):
        following = _of_same_origin(source.url, following)
    digest = hashlib.sha256(orjson.dumps(records, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return Page(tuple(records), following, pages, digest)


def following(source: Source, position: Position, page: Page) -> Position | None:
    """Return where it goes on after a page; None at the end."""
    if isinstance(source.paging, ByPage):
        number = position.page or 0
        is_last = not page.records or (page.pages is not None and number >= page.pages)
        return None if is_last else Position(page=number + 1)
    if page.following is None:
        return None
    is_token = isinstance(source.paging, ByToken)
    return Position(token=page.following) if is_token else Position(link=page.following)


def ahead(source: Source, position: Position) -> Position | None:
    """Return the next position as far as it is known before this page is read; None where the page has to tell."""
    return Position(page=(position.page or 0) + 1) if isinstance(source.paging, ByPage) else None


def _at(document: Any, path: str) -> Any:
    """Return what is at a path of names with dots between them, None where there is nothing."""
    for name in path.split(".") if path else ():
        if not isinstance(document, Mapping):
            return None
        document = document.get(name)
    return document


def _of_same_origin(url: str, link: str) -> str:
    whole = urljoin(url, link)
    here, there = urlsplit(url), urlsplit(whole)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise InvalidInput(
            "the source's next page is at another server",
            subject="paging.next",
            expected=f"a link to {here.scheme}://{here.netloc}",
            got=whole[:200],
        )
    return whole
