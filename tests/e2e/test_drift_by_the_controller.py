"""A deployment that asks for it is watched for drift by its controller: stored, told, exported, and after a kill on."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from tests.e2e.conftest import Tidegate, eventually
from tests.e2e.test_kills import kill
from tests.support import models
from tests.support.quick_models import with_answers
from tests.support.receiver import receiving
from tidegate.cli.main import app

pytestmark = pytest.mark.e2e

NAME = "watched"
#: What the model answers, as replicas count it.
OUTPUTS = ("prediction", "probabilities of 1")
#: What is otherwise when flights are at night.
DRIFTING = ("hour", *OUTPUTS)
DRIFT = {"reference": "", "interval": "2s", "period": "6s", "moderate": 0.2, "large": 0.5}


def run(tidegate: Tidegate, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        app(["--home", str(tidegate.home), *words], prog_name="tidegate")
    return int(end.value.code or 0), capsys.readouterr().out


def total(tidegate: Tidegate, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Return what the command says of a period in which one revision served."""
    code, out = run(tidegate, capsys, "drift", "history", NAME, *words, "--total", "--output", "json")
    assert code == 0
    (found,) = json.loads(out)["totals"]
    return dict(found)


def requests_since(tidegate: Tidegate, since: str) -> int:
    with tidegate.client as client:
        return sum(one["requests"] for one in client.drift_total(NAME, since=datetime.fromisoformat(since))["totals"])


def metrics(tidegate: Tidegate) -> dict[str, float]:
    with tidegate.client as client:
        text = httpx.get(f"{client.url}/v1/deployments/{NAME}/metrics").text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("tidegate_drift"))
    return {name: float(value) for name, _, value in lines}


def readings(tidegate: Tidegate) -> list[dict[str, Any]]:
    with tidegate.client as client:
        return client.drift_readings(NAME)


def states(reading: dict[str, Any]) -> dict[str, str]:
    """Return how the data of a reading stands, by column."""
    return {one["column"]: one["state"] for one in reading["columns"]}


def all_large(reading: dict[str, Any]) -> bool:
    return {states(reading)[name] for name in DRIFTING} == {"large"}


def kinds(tidegate: Tidegate) -> list[str]:
    with tidegate.client as client:
        return [event["kind"] for event in client.events(NAME) if event["kind"].startswith("drift")]


def test_traffic_that_drifts_ends_in_a_reading_an_event_a_metric_and_an_exit_code(
    tidegate: Tidegate, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = models.flights(6_000, seed=9)
    reference = tidegate.folder / "reference.parquet"
    pd.DataFrame(with_answers(good_model, rows.iloc[:3_000])).to_parquet(reference)
    later = rows.iloc[3_000:]
    with receiving() as receiver:
        told = [{"name": "oncall", "url": receiver.url, "when": ["drifted", "drift-over"]}]
        fields = {"drift": {**DRIFT, "reference": str(reference)}, "notifications": told}
        assert tidegate.ended(tidegate.deploy(NAME, good_model, **fields))["outcome"] == "promoted"
        kept = reference.rename(tidegate.folder / "elsewhere.parquet")
        code, out = run(tidegate, capsys, "drift", "sensor", NAME)
        assert (code, out.startswith("Not due: there is no reading of what serves yet")) == (0, True)

        documents = [{"records": [row]} for row in models.records(later)]
        alike = tidegate.traffic(NAME, rate=150.0, documents=documents)
        eventually("a reading without drift", lambda: any(one["state"] == "none" for one in readings(tidegate)))
        assert metrics(tidegate)[f'tidegate_drifted{{deployment="{NAME}",revision="1"}}'] == 0
        calm = next(one for one in readings(tidegate) if one["state"] == "none")
        assert states(calm).keys() == {*rows.columns, *OUTPUTS}
        alike.stop()

        night = [{"records": [row]} for row in models.records(later[later["hour"] > 17])]
        other = tidegate.traffic(NAME, rate=150.0, documents=night)
        eventually("the event", lambda: kinds(tidegate) == ["drifted"])
        eventually("somebody is told", lambda: receiver.moments() == ["drifted"])
        columns = receiver.got[0].body["data"]["columns"]
        assert columns.keys() == {*rows.columns, *OUTPUTS}
        assert max(columns[name]["psi"] for name in DRIFTING) > 0.2
        eventually("a reading of enough requests", lambda: all_large(readings(tidegate)[-1]))
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
        eventually("a reading of enough requests", lambda: all_large(readings(tidegate)[-1]))
        assert [one["look"] for one in readings(tidegate)] == list(range(1, readings(tidegate)[-1]["look"] + 1))
        assert states(readings(tidegate)[-1])["month"] != "large"
        for name in DRIFTING:
            assert metrics(tidegate)[f'tidegate_drift_psi{{column="{name}",deployment="{NAME}",revision="1"}}'] > 0.5

        # What was counted before the kill and after it adds up, the next controller's first readings included.
        whole, told = total(tidegate, capsys), readings(tidegate)
        assert whole["intervals"] >= last["look"] + 1
        counted = [one["interval"]["requests"] for one in told]
        assert sum(counted[: last["look"]]) < whole["requests"] <= sum(counted)
        assert total(tidegate, capsys, "--until", last["at"])["requests"] == sum(counted[: last["look"]])

        code, out = run(tidegate, capsys, "drift", "sensor", NAME, "--at-least", "large", "--output", "json")
        assert (code, json.loads(out)["due"]) == (9, True)
        assert set(DRIFTING) <= set(json.loads(out)["columns"])
        code, out = run(tidegate, capsys, "drift", "history", NAME)
        assert (code, "drifted" in out, "hour" in out) == (0, True, True)
        code, out = run(tidegate, capsys, "drift", "history", NAME, "--column", "hour", "--output", "json")
        (found,) = json.loads(out)["readings"][-1]["columns"]
        assert (found["column"], found["state"]) == ("hour", "large")
        out = run(tidegate, capsys, "status", NAME)[1]
        assert all(words in out for words in ("drifted: large by ", *DRIFTING))
        other.stop()

        alike = tidegate.traffic(NAME, rate=150.0, documents=documents)
        eventually("its end", lambda: kinds(tidegate) == ["drifted", "drift_over"])
        eventually("everybody is told", lambda: receiver.moments() == ["drifted", "drift-over"])
        alike.stop()
        compare_a_period_with_a_check(tidegate, capsys, kept, with_answers(good_model, later.iloc[:300]))
    with tidegate.client as client:
        # The document names the copy by now; what is watched otherwise is another revision.
        document = client.history(NAME)["revisions"][-1]["request"]
        assert client.deploy(document)["created"] is False
        document["drift"]["interval"] = "5s"
        assert client.preview(document)["action"] == "rollout"


def compare_a_period_with_a_check(
    tidegate: Tidegate, capsys: pytest.CaptureFixture[str], reference: Path, rows: pd.DataFrame
) -> None:
    """Send rows, and see that the total of the period says of its columns what `drift check` says of the same rows.

    Args:
        rows: with what the model answers to them.
    """
    asked = models.records(rows.drop(columns=[*OUTPUTS]))
    with tidegate.client as client:
        for _ in range(2):  # the second one is in a later interval than all that was sent before the first
            last = readings(tidegate)[-1]["at"]
            client.predict(NAME, asked[:1])
            eventually("its reading", lambda last=last: readings(tidegate)[-1]["at"] > last)
        since = readings(tidegate)[-1]["at"]
        for row in asked:
            client.predict(NAME, [row])
    eventually("all rows in readings", lambda: requests_since(tidegate, since) == len(asked))
    found = total(tidegate, capsys, "--since", since)
    data = tidegate.folder / "asked.parquet"
    rows.to_parquet(data)
    limits = ("--moderate", str(DRIFT["moderate"]), "--large", str(DRIFT["large"]))
    names = ",".join(one["column"] for one in found["columns"])
    _, out = run(
        tidegate, capsys, "drift", "check", str(reference), str(data), "--columns", names, *limits, "--output", "json"
    )
    checked = json.loads(out)
    # Single numbers, which these two take, are not counted.
    assert found["columns"] == [{**one, "kolmogorovSmirnov": None, "wasserstein": None} for one in checked["columns"]]
    assert (found["state"], found["requests"]) == (checked["state"], checked["rows"])
    assert found["thresholds"] == checked["thresholds"]
    code, told = run(tidegate, capsys, "drift", "history", NAME, "--since", since, "--total")
    assert (code, "Revision 1: 300 requests of " in told, "hour" in told) == (0, True, True)


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
