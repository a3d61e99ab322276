"""How Envoy copies a share of a deployment's requests to the revision on trial, and marks those that it copies.

Envoy can draw lots for a policy that copies, but whom they fell on nobody learns. So the lots are drawn by the routes:
one that matches a share of the requests, copies each and marks it with a header, and behind it its twin for the others.
Where two revisions are compared, stable then notes what it answered to the requests that were copied, and is spared the
others. The copy is made of the request as stable gets it, mark included.

Source: `runtime_fraction` of a route's match, envoy/config/route/v3/route_components.proto of Envoy 1.40; both twins
see the same random number of a request, so one of them matches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Resource = dict[str, Any]

#: A user who sends it has stable note one more answer, which nobody is compared with.
MARK_HEADER = "x-tidegate-copied"

#: The part of a route's action by which Envoy copies requests.
POLICIES = "request_mirror_policies"

#: Shares in hundredths of a percent.
_UNITS_OF_A_PERCENT, _ALL, _DENOMINATOR = 100, 10_000, "TEN_THOUSAND"
_FRACTION = "runtime_fraction"


def policies(cluster: str, percent: float) -> list[Resource]:
    """Return what a route's action says to copy `percent` of its requests: each once, however often it is retried."""
    share = {"numerator": round(percent * _UNITS_OF_A_PERCENT), "denominator": _DENOMINATOR}
    return [
        {
            "cluster": cluster,
            _FRACTION: {"default_value": share},
            # A copy is to be the same request, `Host` included.
            "disable_shadow_host_suffix_append": True,
        }
    ]


def routes(listed: Iterable[Resource]) -> list[Resource]:
    """Return the routes; one that copies a share of its requests becomes two, for those requests and for the others."""
    return [twin for route in listed for twin in (_twins(route) if _copies(route) else [route])]


def without(action: Resource) -> Resource:
    """Return what a route does without its copies."""
    return {name: value for name, value in action.items() if name != POLICIES}


def _copies(route: Resource) -> bool:
    return POLICIES in route.get("route", {})


def _twins(route: Resource) -> list[Resource]:
    (policy,) = route["route"][POLICIES]
    fraction = policy[_FRACTION]
    every = {name: value for name, value in policy.items() if name != _FRACTION}
    mark = {"header": {"key": MARK_HEADER, "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    copied = {
        **route,
        "route": {**route["route"], POLICIES: [every]},
        "request_headers_to_add": [*route.get("request_headers_to_add", ()), mark],
    }
    if fraction["default_value"]["numerator"] >= _ALL:
        return [copied]
    drawn = {**route["match"], _FRACTION: fraction}
    return [{**copied, "match": drawn}, {**route, "route": without(route["route"])}]
