"""Pages of Envoy's admin interface become counts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tidegate.gateway.base import Counts, DurationBucket, Endpoint, RevisionRef
from tidegate.gateway.stats import parse_buckets, parse_counts, parse_healthy

# Cut from the answer of Envoy 1.40.
PAGE = {
    "stats": [
        {"name": "cluster.churn|1.upstream_rq_completed", "value": 20},
        {"name": "cluster.churn|1.upstream_rq_4xx", "value": 2},
        {"name": "cluster.churn|1.upstream_rq_5xx", "value": 4},
        {"name": "cluster.churn|1.upstream_rq_500", "value": 3},
        {"name": "cluster.churn|1.upstream_rq_504", "value": 1},
        {"name": "cluster.churn|1.upstream_rq_timeout", "value": 1},
        {"name": "cluster.churn|1.upstream_cx_destroy_local_with_active_rq", "value": 3},
        {"name": "cluster.churn|2.upstream_rq_completed", "value": 0},
        {"name": "cluster.other.upstream_rq_completed", "value": 7},
        {
            "histograms": {
                "supported_percentiles": [0, 50, 100],
                "details": [
                    {
                        "name": "cluster.churn|1.upstream_rq_time",
                        "totals": [
                            {"lower_bound": 0, "width": 0, "count": 3},
                            {"lower_bound": 1, "width": 0.1, "count": 1},
                            {"lower_bound": 49, "width": 1, "count": 5},
                            {"lower_bound": 50, "width": 1, "count": 2},
                            {"lower_bound": 110.00000000000001, "width": 10, "count": 4},
                        ],
                        "intervals": [],
                        "percentiles": [],
                    }
                ],
            }
        },
    ]
}


def test_counters_and_durations_of_every_revision() -> None:
    counts = parse_counts(PAGE)
    assert set(counts) == {RevisionRef("churn", 1), RevisionRef("churn", 2)}
    assert counts[RevisionRef("churn", 1)] == Counts(
        requests=20,
        errors=4,
        rejections=2,
        durations=(
            DurationBucket(0, 1, 3),
            DurationBucket(1, 2, 1),
            DurationBucket(49, 50, 5),
            DurationBucket(50, 51, 2),
            DurationBucket(110, 120, 4),
        ),
        abandoned=2,
        failed_as={"500": 3, "504": 1},
    )
    assert counts[RevisionRef("churn", 2)] == Counts(0, 0, 0, ())


def test_slower_than_an_objective_on_a_buckets_edge_is_exact() -> None:
    churn = parse_counts(PAGE)[RevisionRef("churn", 1)]
    assert [churn.slower_than(ms) for ms in (0, 1, 49, 50, 51, 110, 120)] == [15, 12, 11, 6, 4, 4, 0]


def test_a_bucket_that_straddles_the_objective_counts_as_not_slower() -> None:
    churn = parse_counts(PAGE)[RevisionRef("churn", 1)]
    assert churn.slower_than(115) == 0
    assert churn.slower_than(49.5) == 6


@given(st.lists(st.integers(0, 99_999), max_size=50, unique=True))
def test_buckets_are_ordered_disjoint_and_hold_the_milliseconds_that_envoy_records(recorded: list[int]) -> None:
    buckets: dict[float, dict[str, float]] = {}
    for ms in sorted(recorded):
        width = 0.0 if ms == 0 else 10.0 ** (len(str(ms)) - 2)
        lower = ms // width * width if width >= 1 else float(ms)
        bucket = buckets.setdefault(lower, {"lower_bound": lower, "width": width, "count": 0})
        bucket["count"] += 1
    parsed = parse_buckets(list(buckets.values()))
    assert sum(bucket.count for bucket in parsed) == len(recorded)
    assert all(bucket.lower_ms < bucket.upper_ms for bucket in parsed)
    assert all(one.upper_ms <= next_one.lower_ms for one, next_one in itertools.pairwise(parsed))


def test_calls_over_grpc_are_counted_by_their_own_status() -> None:
    values = {
        "churn|1.upstream_rq_completed": 10,
        "churn|1.upstream_rq_5xx": 1,
        "churn|1.upstream_rq_503": 1,
        "churn|1|grpc.upstream_rq_completed": 17,  # by HTTP's status, which says nothing
        "churn|1|grpc.upstream_rq_5xx": 2,
        "churn|1|grpc.upstream_rq_503": 2,
        "churn|1|grpc.upstream_rq_tx_reset": 5,
        "churn|1|grpc.grpc.0": 8,
        "churn|1|grpc.grpc.3": 2,
        "churn|1|grpc.grpc.4": 3,
        "churn|1|grpc.grpc.14": 4,
    }
    times = {
        "churn|1": [{"lower_bound": 3, "width": 0.1, "count": 6}, {"lower_bound": 50, "width": 1, "count": 4}],
        "churn|1|grpc": [{"lower_bound": 2, "width": 0.1, "count": 1}, {"lower_bound": 50, "width": 1, "count": 7}],
    }
    details = [{"name": f"cluster.{name}.upstream_rq_time", "totals": totals} for name, totals in times.items()]
    stats = [{"name": f"cluster.{name}", "value": value} for name, value in values.items()]
    assert parse_counts({"stats": [*stats, {"histograms": {"details": details}}]}) == {
        RevisionRef("churn", 1): Counts(
            requests=27,
            errors=8,
            rejections=2,
            durations=(DurationBucket(2, 3, 1), DurationBucket(3, 4, 6), DurationBucket(50, 51, 11)),
            abandoned=2,
            failed_as={"503": 1, "DEADLINE_EXCEEDED": 3, "UNAVAILABLE": 4},
        )
    }


def both(port: int) -> Endpoint:
    """Return a replica that listens for gRPC ten ports further."""
    return Endpoint("127.0.0.1", port, port + 10)


def test_only_replicas_that_pass_every_check_are_healthy() -> None:
    def host(port: int, **health: object) -> dict[str, object]:
        return {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "health_status": {"eds_health_status": "HEALTHY", **health},
        }

    page = {
        "cluster_statuses": [
            {
                "name": "churn|1",
                "host_statuses": [
                    host(1),
                    host(2, failed_active_health_check=True),
                    host(3, failed_outlier_check=True),
                    host(4, pending_active_hc=True),
                    host(6),
                    host(7),
                ],
            },
            {"name": "churn|1|grpc", "host_statuses": [host(16), host(17, pending_active_hc=True)]},
            {"name": "churn|2"},
            {"name": "churn|2|grpc"},
            {"name": "other", "host_statuses": [host(5)]},
        ]
    }
    listening = [*(Endpoint("127.0.0.1", port) for port in (1, 2, 3, 4)), *(both(port) for port in (6, 7))]
    assert parse_healthy(page, {RevisionRef("churn", 1): listening}) == {
        RevisionRef("churn", 1): frozenset({Endpoint("127.0.0.1", 1), both(6)}),
        RevisionRef("churn", 2): frozenset(),
    }
