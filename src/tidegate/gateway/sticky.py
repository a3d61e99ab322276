"""How users are kept with a revision: by a hash of what tells them apart, over the borders of the split.

The share of the hash says the revision (`shares`), so no user is remembered: an assignment survives whatever is started
anew, and a change of weight moves nobody but those who must.

Envoy could make cookies itself, but only where a load balancer hashes over the replicas of one cluster, and that is
after the split. So the gateway gives a user without the cookie one whose value is the id of their first request, and
splits that first request by the same id: the hash of a header and that of a cookie with the same text are equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tidegate.gateway.base import Forced, Sticky

Resource = dict[str, Any]

#: How long a user keeps the cookie: a year.
COOKIE_SECONDS = 365 * 24 * 3600

_REQUEST_ID = "x-request-id"


def hash_policy(sticky: Sticky) -> list[Resource]:
    """Return what a request's place in the split is computed from, the first that it has."""
    if sticky.header is not None:
        return [{"header": {"header_name": sticky.header}}]
    return [
        {"cookie": {"name": sticky.cookie}, "terminal": True},
        {"header": {"header_name": _REQUEST_ID}},
    ]


def routes(sticky: Sticky | None, listed: Iterable[Resource]) -> list[Resource]:
    """Return the routes of a deployment; where users are told apart by a cookie, each is there twice.

    The first is for who has the cookie. The second answers with a new one.
    """
    found = list(listed)
    if sticky is None or sticky.cookie is None:
        return found
    return [twin for route in found for twin in (_known(route, sticky.cookie), _unknown(route, sticky.cookie))]


def has_value(forced: Forced) -> Resource:
    """Return what matches the requests with the value of a header or a cookie."""
    if forced.header is not None:
        return {"name": forced.header, "string_match": {"exact": forced.value}}
    regex = rf"(.*;\s*)?{re.escape(forced.cookie or '')}={re.escape(forced.value)}(\s*;.*)?"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}


def _known(route: Resource, cookie: str) -> Resource:
    has = {"safe_regex": {"regex": rf"(.*;\s*)?{re.escape(cookie)}=.+"}}
    return {**route, "match": {**route["match"], "headers": [{"name": "cookie", "string_match": has}]}}


def _unknown(route: Resource, cookie: str) -> Resource:
    value = f"{cookie}=%REQ({_REQUEST_ID})%; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Lax"
    given = {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {**route, "response_headers_to_add": [*route.get("response_headers_to_add", ()), given]}
