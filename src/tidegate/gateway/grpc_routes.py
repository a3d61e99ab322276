"""How inference over gRPC reaches a deployment through Envoy: routes, filters and clusters beside those of REST.

Clients of the Open Inference Protocol call `/inference.GRPCInferenceService/ModelInfer` whatever the model, and name it
in the first field of the message. A filter reads that name into a header by which a call is routed; a client may also
set the header itself, which it must where it compresses its messages. The filter runs for those calls alone.

A replica's gRPC has a port of its own, so a revision has a second cluster, whose health is that of the replica: the
same question at the same HTTP port. Which statuses the calls ended with is counted by `envoy.filters.http.grpc_stats`
on that cluster; HTTP's own status is 200 whatever happened.

Sources: specification/protocol/inference_grpc.md of github.com/kserve/open-inference-protocol; Envoy 1.40.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tidegate.gateway import retries
from tidegate.gateway.base import Endpoint, RevisionRef, Snapshot

Resource = dict[str, Any]

_NONE: Mapping[str, Sequence[tuple[Resource, Resource]]] = MappingProxyType({})

#: Names the deployment that a call is for. Clients may send it as metadata.
DEPLOYMENT_HEADER = "x-tidegate-deployment"

_SERVICE = "/inference.GRPCInferenceService/"
_HEALTH = "/grpc.health.v1.Health/"
#: Methods that ask about the server, not about a model: no message of theirs has a name in it.
_SERVER = f"{_SERVICE}Server"

_LUA = "envoy.filters.http.lua"
_SCRIPT = "name-of-model"
_STATS = "envoy.filters.http.grpc_stats"

_TYPES = "type.googleapis.com/envoy"

#: Calls of one connection to a replica at a time. Workers of a replica share its port connection by connection, so many
#: calls on one connection would all be one worker's.
_CALLS_PER_CONNECTION = 4

#: By how much sooner than its client Envoy ends a call whose client has set a deadline: else the client would be gone,
#: and a replica that is too slow for all of them would have failed nobody.
_DEADLINE_MARGIN = "0.010s"

#: The statuses of gRPC (github.com/grpc/grpc, doc/statuscodes.md) that are the caller's doing, as 4xx is over HTTP:
#: CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE,
#: UNIMPLEMENTED, UNAUTHENTICATED. All others but OK are failures, also RESOURCE_EXHAUSTED, said under load.
#: gRPC says it of a message that is too large, too; the gateway lets that through only where metadata routes it.
OK, DEADLINE_EXCEEDED = 0, 4
REJECTIONS = frozenset({1, 3, 5, 6, 7, 9, 11, 12, 16})
#: What the failures are called.
FAILURES: Mapping[int, str] = MappingProxyType(
    {
        2: "UNKNOWN",
        DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
        8: "RESOURCE_EXHAUSTED",
        10: "ABORTED",
        13: "INTERNAL",
        14: "UNAVAILABLE",
        15: "DATA_LOSS",
    }
)

_NOT_FOUND, _UNIMPLEMENTED = 5, 12

#: Reads field 1, a text in every message that names a model. Writers put it first; of a compressed message nothing is
#: read, nor of more than its first bytes.
_NAME_OF_MODEL = f"""
local function varint(bytes, at)
  local value, factor = 0, 1
  for position = at, at + 3 do
    local byte = bytes:byte(position)
    if byte == nil then return nil end
    value = value + (byte % 128) * factor
    if byte < 128 then return value, position + 1 end
    factor = factor * 128
  end
  return nil
end

function envoy_on_request(call)
  if call:headers():get("{DEPLOYMENT_HEADER}") ~= nil then return end
  local body = call:body(true)
  local size = math.min(body:length(), 128)
  if size < 8 then return end
  local bytes = body:getBytes(0, size)
  if bytes:byte(1) ~= 0 or bytes:byte(6) ~= 10 then return end
  local length, from = varint(bytes, 7)
  if length == nil or length == 0 or length > 63 or from + length - 1 > size then return end
  local name = bytes:sub(from, from + length - 1)
  if name:find("^[a-z][a-z0-9-]*$") == nil then return end
  call:headers():add("{DEPLOYMENT_HEADER}", name)
end
"""


# -- filters ---------------------------------------------------------------------------------------------------------


def http_filters() -> list[Resource]:
    """Return the filters of the listener, in the order in which a call passes them, before the router."""
    return [
        {
            "name": _LUA,
            # A route that wants it turns it on: a request over REST is not to pay for it.
            "disabled": True,
            "typed_config": {
                "@type": f"{_TYPES}.extensions.filters.http.lua.v3.Lua",
                "source_codes": {_SCRIPT: {"inline_string": _NAME_OF_MODEL}},
            },
        },
        {
            "name": _STATS,
            "typed_config": {
                "@type": f"{_TYPES}.extensions.filters.http.grpc_stats.v3.FilterConfig",
                # By status alone: names of methods are the client's, and every new one would be a new counter.
                "individual_method_stats_allowlist": {},
            },
        },
    ]


def is_no_call() -> Resource:
    """Return the filter of answers that Envoy gives itself, to tell those that are no end of a call."""
    called = {"name": "content-type", "string_match": {"prefix": "application/grpc"}, "invert_match": True}
    return {"header_filter": {"header": {**called, "treat_missing_header_as_empty": True}}}


def _naming() -> Resource:
    return {_LUA: {"@type": f"{_TYPES}.extensions.filters.http.lua.v3.LuaPerRoute", "name": _SCRIPT}}


def _uncounted() -> Resource:
    return {_STATS: {"@type": f"{_TYPES}.config.route.v3.FilterConfig", "disabled": True}}


# -- routes ----------------------------------------------------------------------------------------------------------


def routes(
    snapshot: Snapshot,
    actions: Mapping[str, Resource],
    forced: Mapping[str, Sequence[tuple[Resource, Resource]]] = _NONE,
) -> list[Resource]:
    """Return the routes of calls.

    Args:
        actions: what the route of each deployment does, on the clusters that answer gRPC.
        forced: for the calls of each deployment that are not split, what tells them from others, and their route.
    """
    offering = {name: action for name, action in actions.items() if _may_answer(snapshot, name)}
    listed = [{"match": _match(f"{_SERVICE}Repository"), **_refusal(_UNIMPLEMENTED, retries.REFUSED)}]
    for name in sorted(actions):
        outcome = {"route": _bounded(actions[name])} if name in offering else _no_grpc(name)
        for prefix in (_SERVICE, _HEALTH):
            named = {"name": DEPLOYMENT_HEADER, "string_match": {"exact": name}}
            for has, found in forced.get(name, ()) if name in offering else ():
                match = {**_match(prefix), "headers": [named, has]}
                listed.append({"match": match, **found, "route": _bounded(found["route"])})
            listed.append({"match": {**_match(prefix), "headers": [named]}, **outcome})
    for first in sorted(offering)[:1]:
        # Questions about the server have one answer, whoever gives it; they are no requests of that deployment.
        anyone = {"route": _bounded(offering[first])}
        listed.append({"match": _match(_SERVER), **anyone, "typed_per_filter_config": _uncounted()})
        listed.append({"match": _match(_HEALTH), **anyone, "typed_per_filter_config": {**_uncounted(), **_naming()}})
    unknown = f"no deployment answers to this model's name, nor to the metadata {DEPLOYMENT_HEADER}"
    for prefix in (_SERVICE, _HEALTH):
        listed.append({"match": _match(prefix), **_refusal(_NOT_FOUND, unknown), "typed_per_filter_config": _naming()})
    return listed


def _match(prefix: str) -> Resource:
    return {"prefix": prefix, "grpc": {}}


def _may_answer(snapshot: Snapshot, deployment: str) -> bool:
    """Say whether any replica of the deployment answers gRPC, or there is none of which it could be known."""
    split = snapshot.splits[deployment]
    refs = [RevisionRef(deployment, revision) for revision, weight in split.items() if weight > 0]
    replicas = [endpoint for ref in refs for endpoint in snapshot.endpoints.get(ref, ())]
    return not replicas or any(endpoint.grpc_port is not None for endpoint in replicas)


def _bounded(action: Resource) -> Resource:
    timeout = action["timeout"]
    limits = {
        "max_stream_duration": timeout,
        "grpc_timeout_header_max": timeout,
        "grpc_timeout_header_offset": _DEADLINE_MARGIN,
    }
    return {**action, "max_stream_duration": limits}


def _no_grpc(deployment: str) -> Resource:
    text = (
        f"the replicas of {deployment} do not answer gRPC: install tidegate[grpc] and start them again "
        "(`tidegate down`, `tidegate up`); a server that is started by a command never does"
    )
    return _refusal(_UNIMPLEMENTED, text)


def _refusal(status: int, text: str) -> Resource:
    header = {"header": {"key": "grpc-status", "value": str(status)}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        # Envoy makes a call's end of it, with the text as its message; the header says which.
        "direct_response": {"status": 404, "body": {"inline_string": text}},
        "response_headers_to_add": [header],
    }


# -- clusters --------------------------------------------------------------------------------------------------------


def upstream_protocol() -> Resource:
    """Return how replicas are spoken to: HTTP/2 without TLS."""
    return {"http2_protocol_options": {"max_concurrent_streams": _CALLS_PER_CONNECTION}}


def grpc_endpoints(endpoints: Iterable[Endpoint]) -> list[tuple[Endpoint, int]]:
    """Return the replicas that answer gRPC, in a fixed order, each with the port at which it does."""
    return [(endpoint, endpoint.grpc_port) for endpoint in sorted(endpoints) if endpoint.grpc_port is not None]
