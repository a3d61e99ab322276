"""Every strategy with real models behind a real Envoy: who gets what, and that users notice nothing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import SHORT, Tidegate, eventually
from tests.support.quick_models import write_minutes

pytestmark = pytest.mark.e2e

NAME = "arrivals"
ROW = {"distance": 800.0, "hour": 17, "month": 6, "carrier": "UA"}
QUICK = {**SHORT, "stepDuration": "20s"}
#: With the tenth that `shadow` copies when no steps are given, a verdict takes ten times the traffic.
ALL_COPIED = [{"shadow": 100}, {"pause": "person"}]


@pytest.fixture(scope="module")
def serving(tidegate: Tidegate, good_model: Path) -> Tidegate:
    report = tidegate.ended(tidegate.deploy(NAME, good_model))
    assert report["outcome"] == "promoted"
    return tidegate


def deploy(tidegate: Tidegate, artifact: Path, strategy: str, **fields: Any) -> str:
    """Begin a rollout of another revision of the model with the strategy."""
    # The models of these tests differ in their labels, which is not what the tests are about.
    document = {"deploymentStrategy": strategy, "analysis": QUICK, "gates": {"allowBreaking": True}, **fields}
    document.setdefault("steps", None)
    return tidegate.deploy(NAME, artifact, **document)


def test_blue_green_shows_the_candidate_switches_all_users_at_once_and_can_be_taken_back(
    serving: Tidegate, better_model: Path
) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    switch = {"preview": "1s", "switch": "person", "bake": "2s"}
    rollout = deploy(serving, better_model, "blue-green", blueGreen=switch)
    status = serving.in_phase(NAME, "paused")
    candidate = status["candidate"]
    assert "waits for a person" in status["rollout"]["reason"]
    with serving.client as client:
        preview = client.result(NAME)["servingEndpoint"]["previewEndpoint"]
    answer = httpx.post(f"{preview}/predict", json={"records": [ROW]})
    assert (answer.status_code, answer.headers["x-tidegate-revision"]) == (200, str(candidate))
    assert {record.revision for record in traffic.records()} == {stable}
    with serving.client as client:
        client.resume(NAME, by="ada", reason="the preview looks right")
    eventually("all users on the candidate", lambda: serving.status(NAME)["split_asked"] == {str(candidate): 100})
    eventually("users meet it", lambda: any(record.revision == candidate for record in traffic.records()))
    assert len(serving.pids(NAME, stable)) == 2, "stable stays warm"
    with serving.client as client:
        client.abort(NAME, by="ada", reason="to see the way back")
    report = serving.ended(rollout)
    records = traffic.stop()
    assert report["outcome"] == "aborted"
    assert report["rollback"]["split_in_force_ms"] < 1000
    assert serving.status(NAME)["split_asked"] == {str(stable): 100}
    assert [record for record in records if record.failed] == []
    assert {record.revision for record in records} == {stable, candidate}
    assert httpx.get(f"{preview}/v2/health/ready").status_code == 404


@pytest.mark.long
def test_a_switch_by_a_person_waits_for_replicas_that_were_killed_and_users_notice_nothing(
    serving: Tidegate, good_model: Path, better_model: Path
) -> None:
    name = "switched"
    assert serving.ended(serving.deploy(name, good_model))["outcome"] == "promoted"
    traffic = serving.traffic(name)
    switch = {"preview": "0s", "switch": "person", "bake": "2s"}
    fields = {"analysis": QUICK, "gates": {"allowBreaking": True}, "steps": None, "blueGreen": switch}
    rollout = serving.deploy(name, better_model, deploymentStrategy="blue-green", **fields)
    serving.in_phase(name, "paused")
    for pid in serving.pids(name, 2):
        psutil.Process(pid).kill()
    eventually("no replica of it", lambda: serving.status(name)["replicas"]["2"]["ready"] == 0)
    with serving.client as client:
        answer = client.resume(name, by="ada", reason="the preview looked right")
    assert answer["phase"] == "scaling"
    assert answer["waiting_for"].startswith("replicas of the candidate")
    report = serving.ended(rollout)
    records = traffic.stop()
    assert report["outcome"] == "promoted", report["reason"]
    assert [record for record in records if record.failed] == []
    assert {record.revision for record in records} == {1, 2}


def test_blue_green_promotes_by_itself_after_its_bake_time(serving: Tidegate, better_model: Path) -> None:
    rollout = deploy(
        serving, better_model, "blue-green", blueGreen={"preview": "0s", "bake": "1s"}, description="another"
    )
    report = serving.ended(rollout)
    assert report["outcome"] == "promoted"
    assert [step["weight"] for step in report["steps"]] == [100]


def test_a_guard_that_no_step_measures_is_told_when_it_is_deployed_and_not_counted_on(
    serving: Tidegate, better_model: Path
) -> None:
    document = {
        "name": NAME,
        "modelArtifact": {"path": str(better_model), "version": "unguarded"},
        "servingRequirements": {"latencyP99": "250ms", "availability": "99%"},
        "deploymentStrategy": "blue-green",
        "blueGreen": {"preview": "0s", "bake": "1s"},
        "analysis": {**QUICK, "predictions": {"tolerance": "10%", "critical": True}},
    }
    with serving.client as client:
        planned, accepted = client.preview(document), client.deploy(document)
    (told,) = [warning for warning in planned["warnings"] if "no step measures it" in warning]
    assert told.startswith("analysis.predictions is set, and no step measures it: blue-green has none here")
    assert planned["judge"]["shifts"] == []
    assert told in accepted["warnings"]
    report = serving.ended(accepted["rollout"])
    assert report["outcome"] == "promoted", report["reason"]
    assert told in report["warnings"]
    assert "for errors, latency and rejections together" in report["promise"]
    with serving.client as client:
        triggers = client.result(NAME)["trafficConfig"]["rollbackTriggers"]
    assert "predictions" not in [trigger["signal"] for trigger in triggers]


@pytest.mark.long
def test_a_blue_green_whose_golden_requests_fail_never_switches_and_users_notice_nothing(
    serving: Tidegate, fragile_model: Path, tmp_path: Path
) -> None:
    stable = serving.status(NAME)["stable"]
    with httpx.Client() as http:
        answered = http.post(f"{serving.status(NAME)['url']}/predict", json={"records": [ROW]}).json()["predictions"][0]
    smoke = tmp_path / "smoke.json"
    expected = {"probabilities": {name: share + 0.5 for name, share in answered["probabilities"].items()}}
    smoke.write_text(json.dumps({"requests": [{"name": "smoke", "predict": [ROW], "expect": [expected]}]}))
    traffic = serving.traffic(NAME)
    report = serving.ended(
        deploy(
            serving,
            fragile_model,
            "blue-green",
            blueGreen={"preview": "0s", "bake": "1s"},
            gates={"allowBreaking": True, "golden": str(smoke)},
            description="fails its smoke check",
        )
    )
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "golden request 1 (smoke)" in report["reason"]
    assert report["steps"] == []
    assert serving.status(NAME)["split_asked"] == {str(stable): 100}
    assert {record.revision for record in records} == {stable}
    assert [record for record in records if record.failed] == []


def test_a_shadow_finds_a_bad_candidate_and_no_user_meets_it(serving: Tidegate, fragile_model: Path) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    report = serving.ended(deploy(serving, fragile_model, "shadow", steps=ALL_COPIED))
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "rejected" in report["reason"]
    assert {record.revision for record in records} == {stable}
    assert [record for record in records if record.failed] == []


def test_a_shadow_takes_a_candidate_back_that_answers_otherwise_than_was_allowed(
    serving: Tidegate, good_model: Path
) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    analysis = {**QUICK, "disagreement": "1%", "tolerance": {"absolute": 1e-6, "relative": 1e-4}}
    report = serving.ended(deploy(serving, good_model, "shadow", analysis=analysis, steps=ALL_COPIED))
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "were answered otherwise than by stable" in report["reason"]
    shown = report["disagreements"][0]
    assert shown["stable"] != shown["candidate"]
    assert {record.revision for record in records} == {stable}
    assert [record for record in records if record.failed] == []


def test_a_shadow_of_the_same_model_agrees_and_waits_for_a_person(serving: Tidegate) -> None:
    stable = serving.status(NAME)["stable"]
    with serving.client as client:
        revisions = client.history(NAME)["revisions"]
    path = next(revision["artifact"] for revision in revisions if revision["number"] == stable)
    traffic = serving.traffic(NAME)
    again = {"path": path, "version": "again"}
    analysis = {**QUICK, "disagreement": "1%"}
    rollout = deploy(serving, Path(path), "shadow", analysis=analysis, modelArtifact=again, steps=ALL_COPIED)
    status = serving.in_phase(NAME, "paused")
    assert "waits for a person" in status["rollout"]["reason"], status["rollout"]["reason"]
    with serving.client as client:
        client.abort(NAME, by="ada", reason="seen enough")
    report = serving.ended(rollout)
    traffic.stop()
    compared = report["steps"][0]["requests"][str(report["to_revision"])]["further"]["disagreement"]
    assert compared["requests"] >= 30
    assert compared["bad"] == 0


def test_a_shadow_of_a_regression_agrees_within_the_tolerance_of_its_output_and_is_taken_back_beyond_it(
    tidegate: Tidegate, tmp_path: Path
) -> None:
    name = "minutes"
    assert tidegate.ended(tidegate.deploy(name, write_minutes(tmp_path / "minutes.onnx")))["outcome"] == "promoted"
    traffic = tidegate.traffic(name)
    # Of all numbers next to nothing is tolerated, of this output a twentieth.
    tolerated = {"tolerance": {"relative": 1e-6}, "tolerances": {"prediction": {"relative": 0.05}}}
    fields = {"analysis": {**QUICK, "disagreement": "1%", **tolerated}, "steps": ALL_COPIED}
    near = write_minutes(tmp_path / "near.onnx", an_hour=2.55)
    rollout = tidegate.deploy(name, near, deploymentStrategy="shadow", **fields)
    status = tidegate.in_phase(name, "paused")
    assert "waits for a person" in status["rollout"]["reason"], status["rollout"]["reason"]
    with tidegate.client as client:
        client.abort(name, by="ada", reason="seen enough")
    report = tidegate.ended(rollout)
    compared = report["steps"][0]["requests"][str(report["to_revision"])]["further"]["disagreement"]
    assert compared["requests"] >= 30
    assert compared["bad"] == 0
    far = write_minutes(tmp_path / "far.onnx", an_hour=2.7)
    report = tidegate.ended(tidegate.deploy(name, far, deploymentStrategy="shadow", **fields))
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    assert "were answered otherwise than by stable" in report["reason"]
    shown = report["disagreements"][0]
    assert shown["output"].startswith("prediction")
    assert abs(shown["candidate"] / shown["stable"] - 1.08) < 1e-3
    assert {record.revision for record in records} == {1}
    assert [record for record in records if record.failed] == []


def test_a_shadow_leads_to_a_canary_and_a_bake(serving: Tidegate, good_model: Path) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    steps = [{"shadow": 100, "replicas": 1}, {"weight": 50, "replicas": 1}, 100, {"bake": "1s"}]
    rollout = deploy(serving, good_model, "canary", steps=steps)
    candidate = str(serving.status(NAME)["candidate"])
    seen: dict[int, set[int]] = {}

    def is_over() -> bool:
        status = serving.status(NAME)
        if status["phase"] == "analyzing":
            replicas = status["replicas"][candidate]
            seen.setdefault(status["rollout"]["step_index"], set()).add(len(replicas["replicas"]))
        with serving.client as client:
            return client.rollout(rollout)["ended_at"] is not None

    eventually("the end of the rollout", is_over, pause_seconds=0.05)
    report = serving.ended(rollout)
    records = traffic.stop()
    assert report["outcome"] == "promoted", report["reason"]
    assert [step["weight"] for step in report["steps"]] == [0, 50, 100, 100]
    assert (seen[0], seen[1], seen[2]) == ({1}, {1}, {2}), "each step has the replicas that it says, or all of them"
    assert [record for record in records if record.failed] == []
    assert {record.revision for record in records} == {stable, report["to_revision"]}
    assert len(serving.pids(NAME, report["to_revision"])) == 2


def test_a_rolling_exchange_never_has_fewer_replicas_than_were_asked_for(serving: Tidegate, better_model: Path) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    rollout = deploy(serving, better_model, "rolling", rolling={"hold": "1s"})
    candidate = serving.status(NAME)["candidate"]
    ready: list[int] = []
    most: list[int] = []

    def is_over() -> bool:
        # Others are of rollouts before, and may still be ending: they would hide a gap, and look like too many.
        found = serving.status(NAME)["replicas"]
        replicas = [found[number] for number in (str(stable), str(candidate)) if number in found]
        ready.append(sum(health["ready"] for health in replicas))
        most.append(sum(health["wanted"] for health in replicas))
        with serving.client as client:
            return client.rollout(rollout)["ended_at"] is not None

    eventually("the end of the exchange", is_over, pause_seconds=0.05)
    report = serving.ended(rollout)
    records = traffic.stop()
    assert report["outcome"] == "promoted", report["reason"]
    assert [step["weight"] for step in report["steps"]] == [50, 100]
    assert min(ready) >= 2
    assert max(most) == 3, "two, and maxSurge one more"
    assert [record for record in records if record.failed] == []
    assert {record.revision for record in records} == {stable, report["to_revision"]}


@pytest.mark.long
def test_a_rolling_exchange_that_does_harm_gives_stable_its_replicas_back(
    serving: Tidegate, fragile_model: Path
) -> None:
    stable = serving.status(NAME)["stable"]
    traffic = serving.traffic(NAME)
    report = serving.ended(deploy(serving, fragile_model, "rolling", rolling={"hold": "20s"}))
    records = traffic.stop()
    assert report["outcome"] == "rolled_back", report["reason"]
    status = serving.status(NAME)
    assert (status["stable"], status["split_asked"]) == (stable, {str(stable): 100})
    eventually("stable's replicas", lambda: serving.status(NAME)["replicas"][str(stable)]["ready"] == 2)
    assert {record.revision for record in records if record.failed} <= {report["to_revision"]}


def test_an_ab_test_keeps_users_on_their_side_until_a_person_decides(serving: Tidegate, good_model: Path) -> None:
    stable = serving.status(NAME)["stable"]
    sticky = {"traffic": {"stickyBy": {"header": "x-user-id"}}}
    serving.ended(serving.deploy("tested", good_model, **sticky))
    rollout = serving.deploy(
        "tested",
        good_model,
        deploymentStrategy="ab-test",
        steps=None,
        description="the other arm",
        **sticky,
        modelArtifact={"path": str(good_model), "version": "other"},
    )
    status = serving.in_phase("tested", "paused")
    # Connections of their own, so that each of the gateways is asked, and one client, which loads certificates once.
    users = httpx.Client(base_url=status["url"], limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

    def side(user: int) -> str:
        answer = users.post("/predict", json={"records": [ROW]}, headers={"x-user-id": f"user-{user}"})
        assert answer.status_code == 200
        return str(answer.headers["x-tidegate-revision"])

    before = [side(user) for user in range(60)]
    assert set(before) == {"1", "2"}
    assert [side(user) for user in range(60)] == before

    def counted() -> int:
        requests = serving.status("tested")["rollout"]["requests_in_step"]
        return sum(counts["requests"] for counts in requests.values())

    # The gateways are read now and then, and a promotion ends the step with what was read.
    eventually("all of them are counted", lambda: counted() >= 120)
    with serving.client as client:
        client.promote("tested", by="ada", reason="more of them came back")
    report = serving.ended(rollout)
    assert (report["outcome"], report["decided_by"]) == ("promoted", "ada")
    (arm,) = report["steps"]
    assert arm["weight"] == 50
    assert sum(counts["requests"] for counts in arm["requests"].values()) >= 120
    assert {side(user) for user in range(20)} == {"2"}
    users.close()
    assert serving.status(NAME)["stable"] == stable
