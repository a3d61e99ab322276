"""Snapshots become Envoy's resources by pure functions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tidegate.gateway import resources
from tidegate.gateway.base import Endpoint, Forced, RevisionRef, Snapshot, Trial
from tidegate.gateway.bootstrap import bootstrap
from tidegate.gateway.files import EMPTY, GatewayFolder, snapshot_as_dict, snapshot_from_dict
from tidegate.gateway.resources import ClusterKey, Kind

STABLE, CANDIDATE = RevisionRef("churn", 3), RevisionRef("churn", 4)
GOLDEN = Path(__file__).parent / "golden"

CANARY = Snapshot(
    endpoints={
        STABLE: (Endpoint("127.0.0.1", 7002, 7102), Endpoint("127.0.0.1", 7001)),
        CANDIDATE: (Endpoint("127.0.0.1", 7003, 7103),),
    },
    splits={"churn": {3: 95, 4: 5}},
    timeout_seconds={"churn": 2.5},
)


def golden(name: str, document: object) -> None:
    """Compare with the file of that name; a change of it is to be seen in review."""
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    assert text == (GOLDEN / name).read_text(), f"{name} differs; if that is meant, write it anew"


def test_the_routes_of_a_canary() -> None:
    golden("routes.json", resources.route_configuration(CANARY))


def test_the_routes_of_a_shadow_copy_requests_and_lead_to_the_preview() -> None:
    shadow = replace(CANARY, splits={"churn": {3: 100}}, trials={"churn": Trial(4, 12.5)})
    golden("routes-shadow.json", resources.route_configuration(shadow))


def test_requests_that_are_forced_come_before_the_split_over_rest_and_grpc_alike() -> None:
    forced = (Forced(4, "beta", header="x-group"),)
    routes = resources.route_configuration(replace(CANARY, forced={"churn": forced}))["virtual_hosts"][0]["routes"]
    has = {"name": "x-group", "string_match": {"exact": "beta"}}
    of_churn = [
        route for route in routes if "weighted_clusters" in str(route) or has in route["match"].get("headers", ())
    ]
    is_forced = [has in route["match"].get("headers", ()) for route in of_churn]
    assert {route["route"]["cluster"] for route, one in zip(of_churn, is_forced, strict=True) if one} == {
        "churn|4",
        "churn|4|grpc",
    }
    for grpc in (True, False):
        order = [one for route, one in zip(of_churn, is_forced, strict=True) if ("grpc" in route["match"]) is grpc]
        # Over gRPC each service has both, one behind the other.
        assert order[0]
        assert not order[-1]
    answered = [route["response_headers_to_add"] for route, one in zip(of_churn, is_forced, strict=True) if one]
    assert all(headers[0]["header"] == {"key": "x-tidegate-revision", "value": "4"} for headers in answered)


def test_the_cluster_of_a_revision() -> None:
    golden("cluster.json", resources.cluster(ClusterKey(CANDIDATE), Path("/gateway/endpoints")))


def test_the_cluster_of_a_revision_for_grpc() -> None:
    golden("cluster-grpc.json", resources.cluster(ClusterKey(CANDIDATE, Kind.GRPC), Path("/gateway/endpoints")))


def test_the_endpoints_of_a_revision_are_sorted() -> None:
    golden("endpoints.json", resources.load_assignment(ClusterKey(STABLE), CANARY.replicas(STABLE)))


def test_the_endpoints_for_grpc_are_those_that_answer_it() -> None:
    key = ClusterKey(STABLE, Kind.GRPC)
    golden("endpoints-grpc.json", resources.load_assignment(key, CANARY.replicas(STABLE)))


def test_the_bootstrap() -> None:
    paths = Path("/gateway/routes.json"), Path("/gateway/clusters.json"), Path("/gateway/served.log")
    golden("bootstrap.json", bootstrap("127.0.0.1", 8080, *paths))


def test_a_revision_without_weight_has_a_cluster_and_no_route() -> None:
    snapshot = Snapshot({STABLE: (), CANDIDATE: ()}, {"churn": {3: 100, 4: 0}}, {})
    assert resources.revisions(snapshot) == [STABLE, CANDIDATE]
    assert "churn|4" not in json.dumps(resources.route_configuration(snapshot))


def test_a_revision_that_a_split_names_has_a_cluster_even_without_replicas() -> None:
    assert resources.revisions(Snapshot({}, {"churn": {3: 100}}, {})) == [STABLE]


def test_a_deployment_without_a_split_has_no_route() -> None:
    without = Snapshot({STABLE: ()}, {}, {})
    assert resources.route_configuration(without) == resources.route_configuration(EMPTY)


@given(st.sampled_from(["a", "churn", "churn-2", "grpc", "x" * 63]), st.integers(1, 10**6), st.sampled_from(Kind))
def test_cluster_names_can_be_read_back(deployment: str, revision: int, kind: Kind) -> None:
    key = ClusterKey(RevisionRef(deployment, revision), kind)
    assert resources.parse_cluster_name(resources.cluster_name(key)) == key


@given(st.sampled_from(["", "x", "|3", "x|", "x|y", "x|-1", "x|grpc", "x|3|grpc|grpc", "x|3|http", "x|3|"]))
def test_other_clusters_are_none_of_ours(name: str) -> None:
    assert resources.parse_cluster_name(name) is None


names = st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?\Z")
refs = st.builds(RevisionRef, names, st.integers(1, 99))
ports = st.integers(1, 65535)
endpoints = st.builds(Endpoint, st.sampled_from(["127.0.0.1", "::1"]), ports, st.none() | ports)


@st.composite
def splits(draw: st.DrawFn) -> dict[int, float]:
    revisions = draw(st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=len(revisions) - 1, max_size=len(revisions) - 1)))
    edges = [0, *cuts, 10_000]
    return {revision: (high - low) / 100 for revision, low, high in zip(revisions, edges[:-1], edges[1:], strict=True)}


snapshots = st.builds(
    Snapshot,
    endpoints=st.dictionaries(refs, st.lists(endpoints, max_size=3).map(tuple), max_size=4),
    splits=st.dictionaries(names, splits(), max_size=4),
    timeout_seconds=st.dictionaries(names, st.floats(0.01, 3600), max_size=4),
    trials=st.dictionaries(
        names, st.builds(Trial, st.integers(1, 99), st.sampled_from([0, 0.01, 12.5, 100])), max_size=3
    ),
)


@given(snapshots)
def test_a_snapshot_can_be_written_and_read_back(snapshot: Snapshot) -> None:
    document = json.loads(json.dumps(snapshot_as_dict(snapshot)))
    assert snapshot_from_dict(document) == snapshot


@given(snapshots)
def test_every_route_has_weights_that_sum_to_100_on_clusters_that_exist(snapshot: Snapshot) -> None:
    known = {resources.cluster_name(key) for key in resources.clusters(snapshot)}
    for route in resources.route_configuration(snapshot)["virtual_hosts"][0]["routes"]:
        if "route" in route and "cluster" in route["route"]:
            assert route["route"]["cluster"] in known
        elif "route" in route:
            weighted = route["route"]["weighted_clusters"]["clusters"]
            assert sum(item["weight"] for item in weighted) == 10_000
            assert {item["name"] for item in weighted} <= known


@given(st.floats(0.001, 10_000))
def test_durations_are_protobufs_json(value: float) -> None:
    text = resources.seconds(value)
    assert text.endswith("s")
    assert "e" not in text
    assert abs(float(text[:-1]) - value) < 1e-6


def test_equal_content_has_an_equal_version_and_is_not_written_again(tmp_path: Path) -> None:
    folder = GatewayFolder(tmp_path)
    folder.prepare()
    first = folder.put_routes(CANARY)
    written = folder.routes.stat().st_ino
    second = folder.put_routes(CANARY)
    assert (first.changed, second.changed) == (True, False)
    assert second.version == first.version
    assert folder.routes.stat().st_ino == written


def test_a_change_of_split_changes_the_routes_alone(tmp_path: Path) -> None:
    folder = GatewayFolder(tmp_path)
    folder.prepare()
    changed = Snapshot(CANARY.endpoints, {"churn": {3: 50, 4: 50}}, CANARY.timeout_seconds)
    for snapshot in (CANARY, changed):
        keys = resources.clusters(snapshot)
        puts = [folder.put_endpoints(key, snapshot.replicas(key.ref)) for key in keys]
        puts.append(folder.put_clusters(keys))
        routes = folder.put_routes(snapshot)
    assert not any(put.changed for put in puts)
    assert routes.changed


def test_a_preview_has_a_cluster_as_long_as_it_is_on_trial(tmp_path: Path) -> None:
    folder = GatewayFolder(tmp_path)
    folder.prepare()
    serving = [ClusterKey(ref, kind) for ref in (STABLE, CANDIDATE) for kind in (Kind.GRPC, Kind.HTTP)]
    preview = ClusterKey(CANDIDATE, Kind.PREVIEW)
    split = {"churn": {3: 90, 4: 10}}
    tried = Snapshot({STABLE: (), CANDIDATE: ()}, split, {}, trials={"churn": Trial(4)})
    for snapshot, wanted in ((tried, {*serving, preview}), (Snapshot(tried.endpoints, split, {}), set(serving))):
        assert set(resources.clusters(snapshot)) == wanted
        folder.put_clusters(resources.clusters(snapshot))
        assert folder.known_clusters() == wanted


def test_the_folder_of_the_gateway_is_the_owners_alone(tmp_path: Path) -> None:
    folder = GatewayFolder(tmp_path / "gateway")
    folder.prepare()
    assert folder.root.stat().st_mode & 0o077 == 0
