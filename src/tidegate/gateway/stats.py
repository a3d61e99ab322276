"""Envoy's admin pages in, our records out. What each of its numbers means was found out on Envoy 1.40.

`upstream_rq_completed`, `_4xx` and `_5xx` count one request of a user once, with the status that the user got, on the
cluster that the split chose: a request that was sent again after a reset counts once, and so do the 503 for want of a
healthy replica and the 504 of a timeout, which Envoy answers itself. `upstream_rq_503` and the like are parts of
`_5xx`, and are there from the first answer with that status on.

`upstream_rq_time` is in whole milliseconds, rounded down: a request recorded as 50 took [50, 51) ms, from its last byte
in to the last byte of the answer out of the replica, retries included. Only what a replica answered is in it; a timeout
is not. Its buckets have two significant digits: 1 ms wide below 100 ms, 10 ms below 1 s, 100 ms below 10 s. So an
objective is judged exactly when it is a bucket's edge (5, 50, 99, 250 ms); `slower_than(255)` looks from 260 ms up.
Envoy merges the threads' histograms on a timer (`stats_flush_interval`), so durations lag the counters by up to that.

A user who hangs up before the answer leaves no trace in those. What it leaves is a connection to the replica that the
gateway itself closed with a request in flight (`upstream_cx_destroy_local_with_active_rq`), as a timeout does too.

gRPC ends a call with a status of its own and HTTP's is 200, so its calls are counted by that (`grpc.0`, `grpc.14`, …),
those that Envoy ended itself among them. Who hangs up leaves a stream that was reset and no connection
(`upstream_rq_tx_reset`), as a time limit does too, which ends the call with DEADLINE_EXCEEDED. A revision's counts are
those of its two clusters together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tidegate.gateway.base import Counts, DurationBucket, Endpoint, RevisionRef
from tidegate.gateway.grpc_routes import DEADLINE_EXCEEDED, FAILURES, OK, REJECTIONS
from tidegate.gateway.resources import ROUTES_NAME, STAT_PREFIX, ClusterKey, Kind, parse_cluster_name

Page = Mapping[str, Any]

COUNTS_QUERY = {
    "format": "json",
    "histogram_buckets": "detailed",
    "filter": r"^cluster\.[^.]+\.(upstream_rq_(completed|4xx|5xx|5\d\d|timeout|time)"
    r"|upstream_cx_destroy_local_with_active_rq|upstream_rq_tx_reset|grpc\.\d+)$"
    r"|^vhost\.gateway\.route\.[^.]+\.upstream_rq_(completed|4xx|5xx|5\d\d|time)$",
}

_OF_CLUSTER = "cluster."
#: Of routes whose requests are counted by themselves, too; see `retries`. Unlike those routes, the counters stay.
_OF_ROUTE = "vhost.gateway.route."

_FAILED = re.compile(r"upstream_rq_(5\d\d)$")

ROUTES_VERSION = f"http.{STAT_PREFIX}.rds.{ROUTES_NAME}.version_text"
CLUSTERS_VERSION = "cluster_manager.cds.version_text"

#: Clusters that still wait for their first health checks.
WARMING_QUERY = {"format": "json", "type": "Gauges", "filter": r"^cluster\.[^.]+\.warming_state$"}

#: What a gateway reports that users can reach.
SERVING = {"listener_manager.workers_started": 1, "server.live": 1}
SERVING_QUERY = {"format": "json", "filter": r"^(listener_manager\.workers_started|server\.live)$"}

ACTIVE_REQUESTS = f"http.{STAT_PREFIX}.downstream_rq_active"


def versions_query(names: Collection[str]) -> dict[str, str]:
    """Return the query for the versions in force, of one resource or of all."""
    pattern = re.escape(*names) if len(names) == 1 else r"\.version_text"
    return {"format": "json", "type": "TextReadouts", "filter": f"{pattern}$"}


def parse_values(page: Page) -> dict[str, Any]:
    """Return name and value of every counter, gauge and text on a `/stats?format=json` page."""
    return {stat["name"]: stat["value"] for stat in page["stats"] if "name" in stat}


def parse_counts(page: Page) -> dict[RevisionRef, Counts]:
    """Return the counts of every revision on the page that `COUNTS_QUERY` asks for."""
    counts: dict[RevisionRef, Counts] = {}
    apart = {key: _counts(values, durations) for key, values, durations in _counted(page, _OF_ROUTE)}
    for key, values, durations in _counted(page, _OF_CLUSTER):
        if key.kind is Kind.PREVIEW:  # who looks at a preview is no user
            continue
        found = _calls(values, durations) if key.kind is Kind.GRPC else _counts(values, durations)
        if key.kind is Kind.HTTP:
            found = replace(found, uncopied=apart.get(key))
        counts[key.ref] = counts[key.ref] + found if key.ref in counts else found
    return counts


def _counted(page: Page, prefix: str) -> list[tuple[ClusterKey, dict[str, int], tuple[DurationBucket, ...]]]:
    """Return the counters and durations whose names begin so, by the cluster that follows in the name, sorted."""
    counters: dict[ClusterKey, dict[str, int]] = defaultdict(dict)
    for name, value in parse_values(page).items():
        key, stat = _split_name(name, prefix)
        if key is not None:
            counters[key][stat] = value
    durations = {
        key: parse_buckets(detail["totals"])
        for stat in page["stats"]
        if "histograms" in stat
        for detail in stat["histograms"].get("details", ())
        for key, name in [_split_name(detail["name"], prefix)]
        if key is not None and name == "upstream_rq_time"
    }
    return [(key, values, durations.get(key, ())) for key, values in sorted(counters.items())]


def parse_buckets(totals: list[Mapping[str, float]]) -> tuple[DurationBucket, ...]:
    """Return Envoy's buckets with the durations that they stand for.

    Below 10 ms Envoy's buckets are narrower than the whole milliseconds that it records: what it calls [3, 3.1) are
    the requests that took [3, 4) ms.
    """
    return tuple(
        DurationBucket(lower, lower + max(1.0, round(total["width"], 6)), int(total["count"]))
        for total in totals
        for lower in [float(round(total["lower_bound"], 6))]
    )


def _counts(values: Mapping[str, int], durations: tuple[DurationBucket, ...]) -> Counts:
    hung_up = values.get("upstream_cx_destroy_local_with_active_rq", 0)
    return Counts(
        requests=values.get("upstream_rq_completed", 0),
        errors=values.get("upstream_rq_5xx", 0),
        rejections=values.get("upstream_rq_4xx", 0),
        durations=durations,
        abandoned=max(0, hung_up - values.get("upstream_rq_timeout", 0)),
        failed_as={match[1]: count for name, count in values.items() if (match := _FAILED.match(name)) and count},
    )


def _calls(values: Mapping[str, int], durations: tuple[DurationBucket, ...]) -> Counts:
    ended = {int(name.removeprefix("grpc.")): count for name, count in values.items() if name.startswith("grpc.")}
    rejections = sum(count for status, count in ended.items() if status in REJECTIONS)
    requests = sum(ended.values())
    return Counts(
        requests=requests,
        errors=requests - rejections - ended.get(OK, 0),
        rejections=rejections,
        durations=durations,
        # Those that a replica itself ended so had no reset: at worst, too few are called abandoned.
        abandoned=max(0, values.get("upstream_rq_tx_reset", 0) - ended.get(DEADLINE_EXCEEDED, 0)),
        failed_as={
            FAILURES.get(status, f"gRPC {status}"): count
            for status, count in ended.items()
            if count and status != OK and status not in REJECTIONS
        },
    )


def _split_name(name: str, prefix: str = _OF_CLUSTER) -> tuple[ClusterKey | None, str]:
    cluster, _, stat = name.removeprefix(prefix).partition(".")
    return (parse_cluster_name(cluster) if name.startswith(prefix) else None), stat


def parse_healthy(
    page: Page, endpoints: Mapping[RevisionRef, Collection[Endpoint]]
) -> dict[RevisionRef, frozenset[Endpoint]]:
    """Return, from `/clusters?format=json`, the replicas of every revision that get requests now.

    Args:
        endpoints: where the replicas listen. One that answers gRPC is healthy when its calls get there, too.
    """
    healthy = {
        key: {
            (address["address"], address["port_value"])
            for host in status.get("host_statuses", ())
            if _gets_requests(host["health_status"])
            for address in [host["address"]["socket_address"]]
        }
        for status in page.get("cluster_statuses", ())
        for key in [parse_cluster_name(status["name"])]
        if key is not None
    }
    return {
        key.ref: frozenset(
            endpoint
            for endpoint in endpoints.get(key.ref, ())
            if (endpoint.host, endpoint.port) in listening
            and (endpoint.grpc_port is None or (endpoint.host, endpoint.grpc_port) in healthy.get(_grpc(key), ()))
        )
        for key, listening in healthy.items()
        if key.kind is Kind.HTTP
    }


def healthy_in_all(
    seen: Sequence[Mapping[RevisionRef, frozenset[Endpoint]]],
) -> dict[RevisionRef, frozenset[Endpoint]]:
    """Return the replicas that get requests from every one of several Envoys."""
    refs = set().union(*seen)
    return {ref: frozenset.intersection(*(view.get(ref, frozenset()) for view in seen)) for ref in refs}


def _grpc(key: ClusterKey) -> ClusterKey:
    return key._replace(kind=Kind.GRPC)


def _gets_requests(health: Mapping[str, Any]) -> bool:
    failures = ("failed_active_health_check", "failed_outlier_check", "pending_active_hc", "active_hc_timeout")
    told = health.get("eds_health_status", "HEALTHY")
    return told in ("HEALTHY", "UNKNOWN") and not any(health.get(failure) for failure in failures)
