"""Snapshot in, Envoy's own configuration out: pure functions over plain dictionaries.

Envoy reads these as files. Which file holds what, and why it is cut that way:

- `bootstrap.json`: the listener and the admin page. They last as long as the process, and are in `gateway.bootstrap`.
- `clusters.json` (CDS): two clusters per revision, for HTTP and for gRPC; one for the preview address, whose requests
  are not to be counted with those of users. A cluster never changes once it is there, so
  that neither its counters nor its connections are ever reset; it appears before a route names it and goes after no
  route does.
- `endpoints/<deployment>.<revision>[.<kind>].json` (EDS): one file per cluster, since Envoy wants one resource in it.
- `routes.json` (RDS): the splits. A change of split writes this file alone.

The words (snapshot, listener, route, cluster, endpoint) are Envoy's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from tidegate.gateway import copies, grpc_routes, retries, served, sticky
from tidegate.gateway.base import Endpoint, RevisionRef, Snapshot
from tidegate.gateway.shares import shares_of

Resource = dict[str, Any]

#: First segment of the listener's counters (`http.gateway.…`) and name of its one route configuration.
STAT_PREFIX = "gateway"
ROUTES_NAME = "deployments"

#: What follows the name of a deployment in the address of its revision on trial.
PREVIEW = "@preview"

#: Tells the user which revision answered. Set by the gateway where the replica did not, its own 503 and 504 included.
REVISION_HEADER = "x-tidegate-revision"

DEFAULT_TIMEOUT_SECONDS = 30.0

#: A dead replica leaves the rotation after two failed checks; a draining one (503) after one.
HEALTH_INTERVAL_SECONDS = 0.25
HEALTH_TIMEOUT_SECONDS = 1.0
UNHEALTHY_AFTER_CHECKS = 2

#: How long an ejected replica stays out; by then its health checks have found out for themselves.
EJECTION_SECONDS = 1.0

#: Below the 5 s after which uvicorn closes an idle connection, so that Envoy never reuses one that is about to close.
IDLE_CONNECTION_SECONDS = 4.0

#: Requests up to this size can be sent again to another replica; a larger one is streamed and gets one try.
RETRY_BUFFER_BYTES = 16 * 1024 * 1024

_UNLIMITED = 100_000

_TYPES = "type.googleapis.com/envoy"
ROUTE_TYPE = f"{_TYPES}.config.route.v3.RouteConfiguration"
CLUSTER_TYPE = f"{_TYPES}.config.cluster.v3.Cluster"
ENDPOINT_TYPE = f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment"


class Kind(StrEnum):
    """What a cluster of a revision is for."""

    HTTP = "http"
    GRPC = "grpc"
    PREVIEW = "preview"


#: That it has as long as it is there; a revision on trial may have one for its preview as well.
CLUSTERS_OF_A_REVISION = 2


class ClusterKey(NamedTuple):
    """A cluster of ours: one of those of a revision."""

    ref: RevisionRef
    kind: Kind = Kind.HTTP


def clusters(snapshot: Snapshot) -> list[ClusterKey]:
    """Return the clusters that a snapshot needs, sorted: none for a preview that there is not.

    Each costs every Envoy an inotify instance, of which a user has 128 on most systems.
    """
    serving = {ClusterKey(ref, kind) for ref in revisions(snapshot) for kind in (Kind.HTTP, Kind.GRPC)}
    previews = {ClusterKey(RevisionRef(name, trial.revision), Kind.PREVIEW) for name, trial in snapshot.trials.items()}
    return sorted(serving | previews)


def cluster_name(key: ClusterKey) -> str:
    """Return the name of a cluster, e.g. `churn|3`, `churn|3|grpc`."""
    return f"{key.ref.deployment}|{key.ref.revision}{'' if key.kind is Kind.HTTP else f'|{key.kind}'}"


def parse_cluster_name(name: str) -> ClusterKey | None:
    """Return what a cluster name stands for, or None for a cluster that is none of ours."""
    deployment, *rest = name.split("|")
    if not deployment or not rest or not rest[0].isdecimal():
        return None
    ref = RevisionRef(deployment, int(rest[0]))
    if len(rest) == 1:
        return ClusterKey(ref)
    if len(rest) == 2 and rest[1] in (Kind.GRPC, Kind.PREVIEW):
        return ClusterKey(ref, Kind(rest[1]))
    return None


def endpoints_file(key: ClusterKey) -> str:
    """Return the name of the file in `endpoints/` that holds the cluster's replicas."""
    return f"{key.ref.deployment}.{key.ref.revision}{'' if key.kind is Kind.HTTP else f'.{key.kind}'}.json"


def revisions(snapshot: Snapshot) -> list[RevisionRef]:
    """Return every revision that needs a cluster, sorted: those with replicas and those that a route may name."""
    routed = {RevisionRef(name, number) for name, split in snapshot.splits.items() for number in split}
    tried = {RevisionRef(name, trial.revision) for name, trial in snapshot.trials.items()}
    return sorted(routed | tried | set(snapshot.endpoints))


def discovery_file(resources: Iterable[Resource]) -> tuple[str, str]:
    """Return the version and the text of a file that Envoy reads resources from.

    The version is a digest of the content, so equal content has an equal version. The text begins with it.
    """
    content = json.dumps(list(resources), sort_keys=True, separators=(",", ":"))
    version = hashlib.sha256(content.encode()).hexdigest()[:16]
    return version, f'{{"version_info":"{version}","resources":{content}}}'


# -- routes ----------------------------------------------------------------------------------------------------------


def route_configuration(snapshot: Snapshot) -> Resource:
    """Return the routes of all deployments; one without a split has none and answers 404."""
    routed = {name: split for name, split in sorted(snapshot.splits.items()) if any(split.values())}
    deployments = [
        route
        for name in routed
        for route in (
            *_forced_routes(snapshot, name),
            *sticky.routes(snapshot.sticky.get(name), _deployment_routes(name, _action(snapshot, name))),
        )
    ]
    calls = grpc_routes.routes(
        snapshot,
        {name: _action(snapshot, name, Kind.GRPC) for name in routed},
        {name: _forced_actions(snapshot, name, Kind.GRPC) for name in routed},
    )
    previews = [_preview_route(snapshot, name) for name in sorted(snapshot.trials)]
    return {
        "@type": ROUTE_TYPE,
        "name": ROUTES_NAME,
        "virtual_hosts": [
            {
                "name": "gateway",
                "domains": ["*"],
                "request_body_buffer_limit": RETRY_BUFFER_BYTES,
                "retry_policy": retries.policy(),
                "routes": [
                    *_own_routes(),
                    *retries.refusals(),
                    *copies.routes(retries.routes([*calls, *previews, *deployments])),
                    _not_found(),
                ],
            }
        ],
        # Clusters are put in place before the routes that name them, by us.
        "validate_clusters": False,
    }


def _own_routes() -> list[Resource]:
    return [
        {
            "match": {"path": f"/v2/health/{state}"},
            "direct_response": {"status": 200, "body": {"inline_string": f'{{"{state}":true}}'}},
            "response_headers_to_add": [_header("content-type", "application/json", "OVERWRITE_IF_EXISTS_OR_ADD")],
        }
        for state in ("live", "ready")
    ]


def _not_found() -> Resource:
    text = "no deployment answers at this path; `tidegate list` shows those that do"
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": 404, "body": {"inline_string": text}},
    }


def _action(snapshot: Snapshot, name: str, kind: Kind = Kind.HTTP) -> Resource:
    """Return what a route of the deployment does: the split, over its clusters of one kind, and the mirror."""
    shares = snapshot.shares.get(name) or shares_of(snapshot.splits[name])
    trial = snapshot.trials.get(name)
    noting = {"request_headers_to_add": [served.mark()]} if trial is not None and trial.noted else {}
    action: Resource = {
        "weighted_clusters": {
            "clusters": [
                {
                    "name": cluster_name(ClusterKey(RevisionRef(name, revision), kind)),
                    "weight": size,
                    "response_headers_to_add": [_revision_header(revision)],
                    **noting,
                }
                for revision, size in shares
            ]
        },
        **_ways(snapshot, name),
    }
    if name in snapshot.sticky:
        action["hash_policy"] = sticky.hash_policy(snapshot.sticky[name])
        action["weighted_clusters"]["use_hash_policy"] = True
    if trial is not None and trial.mirror:
        on_trial = cluster_name(ClusterKey(RevisionRef(name, trial.revision), kind))
        action[copies.POLICIES] = copies.policies(on_trial, trial.mirror)
    return action


def _forced_actions(snapshot: Snapshot, name: str, kind: Kind) -> list[tuple[Resource, Resource]]:
    """Return, for requests that are not split, what tells them from others, and what their route has besides."""
    found = []
    for forced in snapshot.forced.get(name, ()):
        cluster_of = cluster_name(ClusterKey(RevisionRef(name, forced.revision), kind))
        route = {"cluster": cluster_of, **_ways(snapshot, name)}
        header = [_revision_header(forced.revision)]
        found.append((sticky.has_value(forced), {"route": route, "response_headers_to_add": header}))
    return found


def _forced_routes(snapshot: Snapshot, name: str) -> list[Resource]:
    return [
        {**route, **outcome, "route": route["route"], "match": {**route["match"], "headers": [has]}}
        for has, outcome in _forced_actions(snapshot, name, Kind.HTTP)
        for route in _deployment_routes(name, outcome["route"])
    ]


def _preview_route(snapshot: Snapshot, name: str) -> Resource:
    revision = snapshot.trials[name].revision
    action = {
        "cluster": cluster_name(ClusterKey(RevisionRef(name, revision), Kind.PREVIEW)),
        "prefix_rewrite": "/",
        **_ways(snapshot, name),
    }
    header = {"response_headers_to_add": [_revision_header(revision)]}
    return {"match": {"prefix": f"/{name}{PREVIEW}/"}, "route": action, **header}


def _ways(snapshot: Snapshot, name: str) -> Resource:
    """Return what every route to the deployment's replicas has in common."""
    return {
        "timeout": seconds(snapshot.timeout_seconds.get(name, DEFAULT_TIMEOUT_SECONDS)),
        # A cluster that is still being made is the gateway's trouble, not a missing deployment.
        "cluster_not_found_response_code": "SERVICE_UNAVAILABLE",
    }


def _revision_header(revision: int) -> Resource:
    return _header(REVISION_HEADER, str(revision), "ADD_IF_ABSENT")


def _deployment_routes(name: str, action: Resource) -> list[Resource]:
    stripped = {**action, "prefix_rewrite": "/"}
    return [
        {"match": {"prefix": f"/{name}/"}, "route": stripped},
        {"match": {"path": f"/{name}"}, "route": stripped},
        {"match": {"prefix": f"/v2/models/{name}/"}, "route": action},
        {"match": {"path": f"/v2/models/{name}"}, "route": action},
    ]


# -- clusters and endpoints ------------------------------------------------------------------------------------------


def cluster(key: ClusterKey, endpoints_folder: Path) -> Resource:
    """Return a cluster of one revision. It depends on nothing but the revision, so it never changes."""
    path = str(endpoints_folder / endpoints_file(key))
    is_grpc = key.kind is Kind.GRPC
    protocol = grpc_routes.upstream_protocol() if is_grpc else {"http_protocol_options": {}}
    return {
        "@type": CLUSTER_TYPE,
        "name": cluster_name(key),
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"path_config_source": {"path": path}, "resource_api_version": "V3"}},
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {
            "healthy_panic_threshold": {"value": 0},
            # By default Envoy may hold back what a health check found for a second, to merge it with more.
            "update_merge_window": "0s",
        },
        # Without this Envoy keeps a removed replica for as long as it answers its health checks.
        "ignore_health_on_host_removal": True,
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": _UNLIMITED,
                    "max_pending_requests": _UNLIMITED,
                    "max_requests": _UNLIMITED,
                    "max_retries": _UNLIMITED,
                }
            ]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
                "common_http_protocol_options": {"idle_timeout": seconds(IDLE_CONNECTION_SECONDS)},
            }
        },
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
    }


def _health_check() -> Resource:
    interval = seconds(HEALTH_INTERVAL_SECONDS)
    return {
        "timeout": seconds(HEALTH_TIMEOUT_SECONDS),
        "interval": interval,
        # By default a cluster without traffic is checked once a minute, and every candidate starts without traffic.
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_threshold": UNHEALTHY_AFTER_CHECKS,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/v2/health/ready"},
    }


def _outlier_detection() -> Resource:
    """Eject a replica that cannot be connected to; what a model answers is the judge's business.

    Envoy counts a reset with the answers of 502 to 504, which a replica also gives under load, so it ejects for none of
    them: who resets is asked no more once its health checks fail, and inference is sent again meanwhile.

    At most half the replicas: ejecting the last one would turn a slow revision into one that answers nothing.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_local_origin_success_rate": 0,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_failure_percentage": 0,
        "enforcing_failure_percentage_local_origin": 0,
        "interval": "0.25s",
        "base_ejection_time": seconds(EJECTION_SECONDS),
        "max_ejection_time": seconds(EJECTION_SECONDS),
        "max_ejection_percent": 50,
        "always_eject_one_host": False,
    }


def load_assignment(key: ClusterKey, replicas: Iterable[tuple[Endpoint, bool]]) -> Resource:
    """Return where the replicas of a cluster listen, in a fixed order; those for gRPC alone that answer it.

    The health checks of all clusters ask at the port for HTTP.

    Args:
        replicas: each with whether it may get requests. One that may not gets none, however well its server is.
    """
    is_ready = dict(replicas)
    listed: list[Resource] = []
    if key.kind is Kind.GRPC:
        for endpoint, grpc_port in grpc_routes.grpc_endpoints(is_ready):
            at = {
                "address": address(endpoint.host, grpc_port),
                "health_check_config": {"port_value": endpoint.port},
            }
            listed.append({"endpoint": at, **_health_status(is_ready[endpoint])})
    else:
        for endpoint in sorted(is_ready):
            at = {"address": address(endpoint.host, endpoint.port)}
            listed.append({"endpoint": at, **_health_status(is_ready[endpoint])})
    return {
        "@type": ENDPOINT_TYPE,
        "cluster_name": cluster_name(key),
        "endpoints": [{"lb_endpoints": listed}] if listed else [],
    }


def _health_status(is_ready: bool) -> Resource:
    return {} if is_ready else {"health_status": "UNHEALTHY"}


def address(host: str, port: int) -> Resource:
    return {"socket_address": {"address": host, "port_value": port}}


def _header(name: str, value: str, append_action: str) -> Resource:
    return {"header": {"key": name, "value": value}, "append_action": append_action}


def seconds(value: float) -> str:
    """Return a protobuf duration in JSON, e.g. `0.25s`."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"
