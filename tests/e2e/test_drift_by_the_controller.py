"""A deployment that asks for it is watched for drift by its controller: stored, told, exported, and after a kill on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.e2e.conftest import Tidegate, eventually
from tests.e2e.test_kills import kill
from tests.support import models
from tests.support.receiver import receiving
from tidegate.cli.main import app

pytestmark = pytest.mark.e2e

NAME = "watched"
DRIFT = {"reference": "", "interval": "2s", "period": "6s", "moderate": 0.2, "large": 0.5}


def run(tidegate: Tidegate, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        app(["--home", str(tidegate.home), *words], prog_name="tidegate")
    return int(end.value.code or 0), capsys.readouterr().out


def metrics(tidegate: Tidegate) -> dict[str, float]:
    with tidegate.client as client:
        text = httpx.get(f"{client.url}/v1/deployments/{NAME}/metrics").text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("tidegate_drift"))
    return {name: float(value) for name, _, value in lines}


def readings(tidegate: Tidegate) -> list[dict[str, Any]]:
    with tidegate.client as client:
        return client.drift_readings(NAME)


def kinds(tidegate: Tidegate) -> list[str]:
    with tidegate.client as client:
        return [event["kind"] for event in client.events(NAME) if event["kind"].startswith("drift")]


def test_traffic_that_drifts_ends_in_a_reading_an_event_a_metric_and_an_exit_code(
    tidegate: Tidegate, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = models.flights(6_000, seed=9)
    reference = tidegate.folder / "reference.parquet"
    pd.DataFrame(rows.iloc[:3_000]).to_parquet(reference)
    later = rows.iloc[3_000:]
    with receiving() as receiver:
        told = [{"name": "oncall", "url": receiver.url, "when": ["drifted", "drift-over"]}]
        fields = {"drift": {**DRIFT, "reference": str(reference)}, "notifications": told}
        assert tidegate.ended(tidegate.deploy(NAME, good_model, **fields))["outcome"] == "promoted"
        reference.unlink()
        code, out = run(tidegate, capsys, "drift", "sensor", NAME)
        assert (code, out.startswith("Not due: there is no reading of what serves yet")) == (0, True)

        documents = [{"records": [row]} for row in models.records(later)]
        alike = tidegate.traffic(NAME, rate=150.0, documents=documents)
        eventually("a reading without drift", lambda: any(one["state"] == "none" for one in readings(tidegate)))
        assert metrics(tidegate)[f'tidegate_drifted{{deployment="{NAME}",revision="1"}}'] == 0
        alike.stop()

        night = [{"records": [row]} for row in models.records(later[later["hour"] > 17])]
        other = tidegate.traffic(NAME, rate=150.0, documents=night)
        eventually("the event", lambda: kinds(tidegate) == ["drifted"])
        eventually("somebody is told", lambda: receiver.moments() == ["drifted"])
        assert receiver.got[0].body["data"]["columns"]["hour"]["psi"] > 0.2
        assert tidegate.status(NAME)["drift"]["drifted"]

        kill(tidegate.controller())
        tidegate.start()
        # What stands is known at once, and the number of the reading goes on.
        eventually(
            "the standing", lambda: metrics(tidegate).get(f'tidegate_drifted{{deployment="{NAME}",revision="1"}}')
        )
        assert metrics(tidegate)[f'tidegate_drift_psi{{column="hour",deployment="{NAME}",revision="1"}}'] > 0.2
        last = readings(tidegate)[-1]
        eventually("a reading of the next controller", lambda: readings(tidegate)[-1]["look"] > last["look"])
        # Its first ones are of the few requests that it has seen.
        eventually("a reading of enough requests", lambda: readings(tidegate)[-1]["state"] == "large")
        assert [one["look"] for one in readings(tidegate)] == list(range(1, readings(tidegate)[-1]["look"] + 1))

        code, out = run(tidegate, capsys, "drift", "sensor", NAME, "--at-least", "large", "--output", "json")
        assert (code, json.loads(out)["due"]) == (9, True)
        assert "hour" in json.loads(out)["columns"]
        code, out = run(tidegate, capsys, "drift", "history", NAME)
        assert (code, "drifted" in out, "hour" in out) == (0, True, True)
        code, out = run(tidegate, capsys, "drift", "history", NAME, "--column", "hour", "--output", "json")
        (found,) = json.loads(out)["readings"][-1]["columns"]
        assert (found["column"], found["state"]) == ("hour", "large")
        assert "drifted: large by hour" in run(tidegate, capsys, "status", NAME)[1]
        other.stop()

        alike = tidegate.traffic(NAME, rate=150.0, documents=documents)
        eventually("its end", lambda: kinds(tidegate) == ["drifted", "drift_over"])
        eventually("everybody is told", lambda: receiver.moments() == ["drifted", "drift-over"])
        alike.stop()
    with tidegate.client as client:
        # The document names the copy by now; what is watched otherwise is another revision.
        document = client.history(NAME)["revisions"][-1]["request"]
        assert client.deploy(document)["created"] is False
        document["drift"]["interval"] = "5s"
        assert client.preview(document)["action"] == "rollout"


def test_a_reference_that_the_model_has_nothing_of_refuses_the_deployment(tidegate: Tidegate, good_model: Path) -> None:
    reference = tidegate.folder / "towns.csv"
    reference.write_text("town\nulm\nbonn\n")
    document = {
        "name": "refused",
        "modelArtifact": {"path": str(good_model)},
        "servingRequirements": {},
        "drift": {"reference": str(reference)},
    }
    with tidegate.client as client:
        found = client.preview(document)
        assert [one["subject"] for one in found["refusals"]] == ["drift.reference"]
        assert "refused" not in [one["name"] for one in client.list()]
