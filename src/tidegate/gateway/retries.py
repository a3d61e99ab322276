"""Which requests are sent again or copied, and which never reach a replica.

Inference changes nothing, so a request for it may be sent twice, and copied to a candidate. Of what else a replica may
offer (a server of somebody else's, started by a command) nobody knows: such a request is sent again only where no
replica can have begun it, and never copied. The repository of models is not reached through the gateway at all: what a
deployment serves changes by a rollout, and a request that loads or unloads would change one replica, and by a second
try another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tidegate.gateway import copies

Resource = dict[str, Any]

_TYPES = "type.googleapis.com/envoy"

#: No replica got the request: it could not be connected to, or refused the stream, or was gone before it was sent.
_NOT_BEGUN = "connect-failure,refused-stream,reset-before-request"
#: As well: a replica vanished under it. Never because of what a model answered.
_VANISHED = f"{_NOT_BEGUN},reset"

#: Methods of HTTP that may change something.
_CHANGING = "POST|PUT|PATCH|DELETE"
#: Paths of inference in every protocol, and calls over gRPC that change nothing. Several, since Envoy bounds each.
_INFERENCE: tuple[Resource, ...] = (
    {"safe_regex": {"regex": r".*/(predict|infer|invocations)(\?.*)?"}},
    {"safe_regex": {"regex": r".*/v1/models/.*:(predict|classify|regress)(\?.*)?"}},
    {"prefix": "/inference.GRPCInferenceService/Model"},
    {"prefix": "/inference.GRPCInferenceService/Server"},
    {"prefix": "/grpc.health.v1.Health/"},
)

_REPOSITORY = r"/[^/]+/v2/repository(/.*)?"
REFUSED = "the repository of models is not reached through the gateway; `tidegate deploy` changes what is served"


def policy() -> Resource:
    """Return when a request is sent again that changes nothing.

    A retry goes to another replica while there is one: the load balancer is asked until it names one that was not
    tried. It takes the less busy of two at random, and a dead replica is never busy, so with two replicas it names the
    dead one three times out of four; hence so many attempts.
    """
    return {
        "retry_on": _VANISHED,
        "num_retries": 2,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {"@type": f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
            }
        ],
        "host_selection_retry_max_attempts": 64,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
    }


def routes(listed: Iterable[Resource]) -> list[Resource]:
    """Return the routes to replicas, each behind a twin for requests that may change something, which copies none."""
    return [twin for route in listed for twin in ([_careful(route), route] if "route" in route else [route])]


def _careful(route: Resource) -> Resource:
    match = route["match"]
    may_change = [
        {"name": ":method", "string_match": {"safe_regex": {"regex": _CHANGING}}},
        *({"name": ":path", "string_match": found, "invert_match": True} for found in _INFERENCE),
    ]
    action = {**copies.without(route["route"]), "retry_policy": {**policy(), "retry_on": _NOT_BEGUN}}
    apart = _counted_apart(route["route"]) if copies.POLICIES in route["route"] else {}
    return {
        **route,
        **apart,
        "match": {**match, "headers": [*match.get("headers", ()), *may_change]},
        "route": action,
    }


def _counted_apart(action: Resource) -> Resource:
    """Return what has Envoy count a route's requests by themselves, too, under the cluster that answers them all."""
    answering = [each["name"] for each in action["weighted_clusters"]["clusters"] if each["weight"]]
    return {"stat_prefix": answering[0]} if len(answering) == 1 else {}


def refusals() -> list[Resource]:
    """Return the routes of what never reaches a replica over HTTP; they come before all others."""
    return [
        {
            "match": {"safe_regex": {"regex": _REPOSITORY}},
            "direct_response": {"status": 404, "body": {"inline_string": REFUSED}},
        }
    ]
