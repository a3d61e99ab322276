"""The page on metrics lists exactly what replicas serve."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from scripts.pages import metrics_page
from tests.server.processes import replica
from tests.server.supervisors import supervised
from tidegate.artifact.bundle import Bundle

LINE = re.compile(r"\| `(tidegate_server_\w+)` \| (\w+) \| (.*?) \| (.*?) \|")
COMMON = {"deployment", "revision", "model_version", "worker", "le"}


def listed(*when: str) -> dict[str, tuple[str, set[str]]]:
    """Return kind and labels by name, of the metrics that the page says are there."""
    found = {}
    for name, kind, labels, there in LINE.findall(metrics_page()):
        if there in when:
            found[name] = kind, set(re.findall(r"`(\w+)`", labels))
    assert found
    return found


def served(client: httpx.Client, bundle: Bundle) -> dict[str, tuple[str, set[str]]]:
    for _ in range(3):
        assert client.post("/predict", json=[dict(bundle.sample[0])]).status_code == 200
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        if family.name.startswith("tidegate_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - COMMON
            found[name] = family.type, labels
    return found


def test_a_replica_serves_what_the_page_says_is_always_there(quick_bundle: Bundle, tmp_path: Path) -> None:
    with replica(quick_bundle.folder, tmp_path / "run") as running:
        assert served(running.client, quick_bundle) == listed("always")


def test_a_replica_with_everything_serves_the_rest(quick_bundle: Bundle, tmp_path: Path) -> None:
    options = ["--cache", "memory", "--prediction-log", f"jsonl:{tmp_path}/log.jsonl"]
    with replica(quick_bundle.folder, tmp_path / "run", *options) as running:
        assert served(running.client, quick_bundle) == listed("always", "with a cache", "with a prediction log")


def test_a_replica_that_completes_rows_counts_them(quick_bundle: Bundle, tmp_path: Path) -> None:
    options = ["--features-view", "planes", "--features-entity", "plane"]
    with replica(quick_bundle.folder, tmp_path / "run", *options) as running:
        found = served(running.client, quick_bundle)
        assert found == listed("always", "with `features` in the request")


def test_a_replica_of_several_workers_serves_those_of_its_supervisor_too(quick_bundle: Bundle, tmp_path: Path) -> None:
    with supervised(tmp_path / "run", "--bundle", str(quick_bundle.folder)) as running:
        assert served(running.client, quick_bundle) == listed("always", "with `tidegate serve`")
