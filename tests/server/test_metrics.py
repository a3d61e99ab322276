"""Metrics: the promised names, labels and buckets, with the values that the requests made."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import InProcess, Serve
from tidegate.artifact.bundle import Bundle
from tidegate.server import metrics as names
from tidegate.server.metrics import duration_buckets

OWN = {"deployment": "flights", "revision": "3", "model_version": "3"}


@pytest.fixture(scope="module")
def asked(serve: Serve, fragile_bundle: Bundle) -> InProcess:
    """A replica that was asked five times: answered three, refused one, failed on one."""
    _, client = serve(fragile_bundle)
    for body in (
        {"distance": 1.0, "hour": 2},
        {"distance": 1.0, "hour": 2},
        {"hour": 2},
        {"distance": -1, "hour": 2},
    ):
        client.post("/predict", json=body)
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [1]} for name in ("distance", "hour")]
    client.post("/v2/models/flights/infer", json={"inputs": tensors})
    return client


def samples(client: InProcess) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return name, tuple(sorted({**OWN, **labels}.items()))


def test_requests_are_counted_by_protocol_and_code(asked: InProcess) -> None:
    found = samples(asked)
    assert found[key(names.REQUESTS_TOTAL, protocol="predict", code="200")] == 2
    assert found[key(names.REQUESTS_TOTAL, protocol="predict", code="400")] == 1
    assert found[key(names.REQUESTS_TOTAL, protocol="predict", code="500")] == 1
    assert found[key(names.REQUESTS_TOTAL, protocol="oip_rest", code="200")] == 1


def test_durations_cover_every_request_and_inference_only_what_was_answered(asked: InProcess) -> None:
    found = samples(asked)
    assert found[key(names.REQUEST_DURATION_SECONDS + "_count")] == 5
    assert found[key(names.INFERENCE_DURATION_SECONDS + "_count")] == 3
    assert found[key(names.REQUESTS_IN_FLIGHT)] == 0
    assert found[key(names.REQUESTS_SHED_TOTAL)] == 0


def test_the_objective_is_a_bucket_of_its_own(asked: InProcess) -> None:
    assert key(names.REQUEST_DURATION_SECONDS + "_bucket", le="0.07") in samples(asked)
    assert key(names.REQUEST_DURATION_SECONDS + "_bucket", le="0.0005") in samples(asked)


def test_what_is_served_is_told_in_labels(asked: InProcess, fragile_bundle: Bundle) -> None:
    (labels,) = [dict(labels) for name, labels in samples(asked) if name == names.MODEL_INFO]
    assert labels["digest"] == fragile_bundle.manifest.digest
    assert (labels["runtime"], labels["format"]) == ("sklearn", "skops")


def test_the_process_itself_is_measured(asked: InProcess) -> None:
    assert key("process_resident_memory_bytes") in samples(asked)


def test_openmetrics_is_given_to_who_asks_for_it(asked: InProcess) -> None:
    answer = asked.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert asked.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_an_objective_that_is_a_bound_already_adds_none() -> None:
    assert duration_buckets(0.05) == tuple(sorted(set(duration_buckets(0.05))))
    assert len(duration_buckets(0.05)) + 1 == len(duration_buckets(0.07))
