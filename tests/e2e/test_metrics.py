"""Metrics of the user's own in real rollouts: each provider takes a candidate back; what is not measured holds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SHORT, Tidegate, eventually
from tests.e2e.test_kills import kill
from tests.support.documents import documents
from tests.support.prometheus import prometheus
from tidegate.cli.main import app

pytestmark = pytest.mark.e2e

NAME = "arrivals"
QUICK = {"interval": "500ms"}


def analysis(*metrics: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**SHORT, **fields, "metrics": [{**QUICK, **metric} for metric in metrics]}


@pytest.fixture
def served(tidegate: Tidegate, good_model: Path) -> str:
    """A deployment of this test alone, with its first revision in place; return its name."""
    name = f"metrics-{len(list((tidegate.home / 'reports').glob('*')))}"
    assert tidegate.ended(tidegate.deploy(name, good_model))["outcome"] == "promoted"
    return name


def test_a_document_over_http_takes_a_candidate_back_with_its_numbers(
    tidegate: Tidegate, served: str, better_model: Path
) -> None:
    with documents(lambda _: (200, {"queue": {"length": 250}})) as service:
        url = service.url + "/{{deployment}}/{{candidate}}"
        metric = {"name": "queue", "http": {"url": url, "path": "queue.length"}, "failureCondition": "result > 100"}
        traffic = tidegate.traffic(served)
        rollout = tidegate.deploy(served, better_model, analysis=analysis({**metric, "failureLimit": 2}))
        report = tidegate.ended(rollout)
        records = traffic.stop()
    assert report["outcome"] == "rolled_back"
    assert "queue: result = 250, which meets result > 100 (3 of 3 measurements failed, 2 allowed)" in report["reason"]
    assert {asked.path for asked in service.asked} == {f"/{served}/2"}
    assert all(record.status == 200 for record in records)
    assert "queue is held to a threshold of the request's own" in report["promise"]
    page = (tidegate.home / "reports" / served / f"{rollout}.html").read_text()
    assert "result = 250" in page


def test_a_function_takes_a_candidate_back(tidegate: Tidegate, served: str, better_model: Path) -> None:
    file = tidegate.folder / "quality.py"
    file.write_text("def measure(asked):\n    return 0.7 if asked['revision'] == asked['candidate'] else 0.9\n")
    file.chmod(0o600)
    python = {"path": str(file), "trust": True}
    compare = {"direction": "decrease", "tolerance": {"relative": 0.1}}
    traffic = tidegate.traffic(served)
    report = tidegate.ended(
        tidegate.deploy(
            served, better_model, analysis=analysis({"name": "quality", "python": python, "compare": compare})
        )
    )
    traffic.stop()
    assert report["outcome"] == "rolled_back"
    assert "quality: 0.7, 0.2 below stable's 0.9; 0.09 tolerated" in report["reason"]


def test_a_query_to_prometheus_takes_a_candidate_back(
    tidegate: Tidegate, served: str, better_model: Path, tmp_path: Path
) -> None:
    """Prometheus scrapes a service that knows of each revision how many answers were of no use."""
    answered: dict[str, list[int]] = {"1": [0, 0], "2": [0, 0]}

    def exposed(_: str) -> tuple[int, bytes]:
        lines = []
        for revision, share in (("1", 0), ("2", 20)):
            answered[revision][0] += share
            answered[revision][1] += 40
            bad, total = answered[revision]
            lines += [
                f'useless_total{{revision="{revision}"}} {bad}',
                f'answers_total{{revision="{revision}"}} {total}',
            ]
        return 200, ("\n".join(lines) + "\n").encode()

    with documents(exposed) as service, prometheus(tmp_path, [f"127.0.0.1:{service.port}"]) as address:
        service.headers["content-type"] = "text/plain; version=0.0.4"
        counted = {
            "bad": 'useless_total{revision="{{revision}}"}',
            "total": 'answers_total{revision="{{revision}}"}',
            "objective": "1%",
        }
        traffic = tidegate.traffic(served)
        metric = {"name": "useless", "prometheus": {"address": address}, "counted": counted}
        report = tidegate.ended(tidegate.deploy(served, better_model, analysis=analysis(metric)))
        traffic.stop()
    assert report["outcome"] == "rolled_back"
    assert "useless: " in report["reason"]
    assert "candidate requests were counted as bad (50 %) against 0 of" in report["reason"]
    assert report["requests"]["2"]["further"]["useless"]["bad"] > 0
    assert "useless" in report["promise"]
    recorded = (tidegate.home / "reports" / served / f"{report['rollout']}.looks.jsonl").read_text().splitlines()
    last = [json.loads(line) for line in recorded if '"look"' in line][-1]
    assert last["verdict"] == "fail"
    assert last["candidate"]["further"]["useless"]["requests"] > 0


@pytest.mark.long
def test_what_cannot_be_measured_is_held_and_says_why(tidegate: Tidegate, served: str, better_model: Path) -> None:
    with documents(lambda _: (503, b"")) as service:
        metric = {"name": "stock", "http": {"url": service.url}, "successCondition": "result > 0"}
        traffic = tidegate.traffic(served)
        rollout = tidegate.deploy(
            served, better_model, analysis=analysis({**metric, "consecutiveErrorLimit": 1}, stepDuration="8s")
        )
        status = tidegate.in_phase(served, "paused")
        assert "stock: could not be measured" in status["rollout"]["reason"]
        assert "answered 503" in status["rollout"]["reason"]
        assert status["rollout"]["verdict"]["outcome"] == "error"
        with tidegate.client as client:
            client.promote(served, by="ada", reason="the service is down, the candidate is fine")
        assert tidegate.ended(rollout)["outcome"] == "promoted"
        traffic.stop()


@pytest.mark.long
def test_a_switch_whose_effect_cannot_be_measured_is_not_promoted_because_its_time_is_up(
    tidegate: Tidegate, served: str, better_model: Path
) -> None:
    with documents(lambda _: (503, b"")) as service:
        metric = {"name": "stock", "http": {"url": service.url}, "successCondition": "result > 0"}
        asked = analysis({**metric, "consecutiveErrorLimit": 0}, onInconclusive="rollback")
        blue_green = {"deploymentStrategy": "blue-green", "blueGreen": {"preview": "0s", "bake": "5s"}, "steps": None}
        traffic = tidegate.traffic(served)
        report = tidegate.ended(tidegate.deploy(served, better_model, analysis=asked, **blue_green))
        records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert report["reason"].startswith("the step's time is up without a verdict: stock: could not be measured")
    assert [step["weight"] for step in report["steps"]] == [100]
    assert [record for record in records if record.failed] == []


@pytest.mark.long
def test_harm_that_is_not_critical_is_a_warning_and_a_killed_controller_remembers_it(
    tidegate: Tidegate, served: str, better_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = True
    with documents(lambda _: (200, 0 if failing else 1)) as service:
        metric = {"name": "stock", "http": {"url": service.url}, "successCondition": "result > 0", "critical": False}
        traffic = tidegate.traffic(served)
        rollout = tidegate.deploy(served, better_model, analysis=analysis(metric))
        status = tidegate.in_phase(served, "paused")
        assert status["rollout"]["reason"].startswith("a warning: stock: result = 0")
        failing = False
        kill(tidegate.controller())
        tidegate.start()

        def measured_again() -> dict[str, Any] | None:
            verdict = tidegate.status(served)["rollout"]["verdict"]
            found = verdict["metrics"][0] if verdict else {"last": ""}
            return found if found["last"].startswith("result = 1") else None

        found = eventually("a measurement of the next controller", measured_again)
        assert found["outcome"] == "fail"
        assert found["failures"] >= 1
        with pytest.raises(SystemExit):
            app(["--home", str(tidegate.home), "status", served], prog_name="tidegate")
        shown = capsys.readouterr().out
        assert "stock" in shown
        assert "result = 1" in shown
        with tidegate.client as client:
            client.abort(served, by="ada", reason="seen")
        tidegate.ended(rollout)
        traffic.stop()


LEAKING = """
class Leaking:
    inputs = [{"name": "x"}]
    kept = []

    def predict(self, inputs):
        self.kept.append(b"x" * LEAK)
        return {"score": inputs["x"]}
"""


def test_a_leak_in_a_copy_of_stable_is_found(tidegate: Tidegate, tmp_path: Path) -> None:
    """Only the memory tells the two apart: both answer at once, and the same."""
    name, folders = "leaking", []
    for leak in (0, 3 << 20):
        folder = tmp_path / str(leak)
        folder.mkdir()
        (folder / "model.py").write_text(LEAKING.replace("LEAK", str(leak)))
        folders.append(folder)
    fields = {
        "infrastructure": {"resources": {"replicas": 1}},
        "analysis": {**SHORT, "minRequests": 5000, "resources": {"memory": {}, "interval": "500ms"}},
    }
    first, second = ({"path": str(folder), "trust": True} for folder in folders)
    assert tidegate.ended(tidegate.deploy(name, folders[0], modelArtifact=first))["outcome"] == "promoted"
    traffic = tidegate.traffic(name, documents=[{"records": [{"x": 1.0}]}])
    report = tidegate.ended(tidegate.deploy(name, folders[1], modelArtifact=second, **fields))
    traffic.stop()
    assert report["outcome"] == "rolled_back"
    assert report["reason"].startswith("memory: ")
    assert "3 readings in a row" in report["reason"]
