"""Decisions that take a reason, over HTTP: refused without one they change nothing, and no way back is held up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tidegate.api.app import build_app
from tidegate.api.stopping import Stopping
from tidegate.contract.request import parse_request
from tidegate.controller import planning
from tidegate.controller.home import Home
from tidegate.controller.service import Service
from tidegate.controller.supervisor import Supervisor
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.rollout import Phase, Rollout
from tidegate.store import NewEvent, RolloutRow, Store
from tidegate.target.local import LocalTarget

TOKEN = "a-token"
NAME = "churn"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
AB_TEST = {"deploymentStrategy": "ab-test"}


class Api:
    """A controller's API without its loop, with a deployment of which revision 1 is stable."""

    def __init__(self, root: Path) -> None:
        home = Home(root)
        home.create()
        self.store = Store(home.database)
        target = LocalTarget(home.root, EnvoyGateway(home.gateway))
        supervisor = Supervisor(home, self.store, target)
        self.app = build_app(Service(home, "http://127.0.0.1:1", self.store, target, supervisor), TOKEN, Stopping())
        first = self.begin()
        self.store.save_transition(
            first, {**first.state, "phase": "promoted"}, {}, (), NOW, ended=True, promoted=first.to_revision
        )

    def begin(self, **fields: Any) -> RolloutRow:
        """Record a rollout as `deploy` does."""
        request = parse_request({"name": NAME, "modelArtifact": {"path": "/m"}, "servingRequirements": {}, **fields})

        def state(stable: int | None, candidate: int) -> Mapping[str, Any]:
            row = None if stable is None else self.store.revision(self.store.deployment(NAME).id, stable)
            return Rollout.begin(planning.plan_trial(request, row, candidate), NOW).for_storage()

        return self.store.start_rollout(
            NAME,
            digest="a" * 64,
            request=request.as_document(),
            plan_state=state,
            to_revision=None,
            happened=NewEvent("preparing", "begun"),
            now=NOW,
        )

    def waiting(self, **fields: Any) -> RolloutRow:
        """Record a rollout that waits at its first step for a person, with what the request demands of them."""
        row = self.begin(**fields)
        waits = Rollout.from_storage(row.state).evolve(phase=Phase.PAUSED, step=0)
        return self.store.save_transition(row, waits.for_storage(), {}, (), NOW, ended=False)

    def decide(self, verb: str, **body: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(transport=transport, base_url="http://controller", headers=headers) as client:
                return await client.post(f"/v1/deployments/{NAME}/{verb}", json={"by": "ada", **body})

        return asyncio.run(asked())

    def recorded(self, row: RolloutRow) -> tuple[Any, ...]:
        return self.store.rollout(row.id), self.store.events(row.deployment_id)


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path / "home")


@pytest.mark.parametrize("said", [{}, {"reason": ""}, {"reason": " \t\n"}], ids=["nothing", "empty", "blank"])
@pytest.mark.parametrize(
    ("verb", "asked"), [("promote", {}), ("resume", {}), ("promote", {"arm": "candidate"}), ("weights", {})]
)
def test_a_decision_by_which_more_users_may_meet_the_candidate_is_refused_without_a_reason_and_changes_nothing(
    api: Api, verb: str, asked: dict[str, Any], said: dict[str, str]
) -> None:
    row = api.waiting(gates={"requireReason": True}, **AB_TEST)
    body = {**asked, **({"weights": {"candidate": 60}} if verb == "weights" else {})}
    before = api.recorded(row)
    refused = api.decide(verb, **body, **said)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["subject"], error["expected"]) == ("reason_required", NAME, "why, in words")
    assert error["got"] == {"": "no reason", " \t\n": '" \\t\\n"'}[said.get("reason", "")]
    assert "takes a reason: the request of revision 2 has gates.requireReason" in error["message"]
    assert '--reason "…"' in error["hint"]
    assert api.recorded(row) == before
    done = api.decide(verb, **body, reason="more of them came back")
    assert done.status_code == 202, done.text
    assert done.json()["reason_required"] is True
    (_, events) = api.recorded(row)
    assert (events[-1].data["by"], events[-1].data["reason"]) == ("ada", "more of them came back")


@pytest.mark.parametrize(("verb", "asked"), [("abort", {}), ("weights", {"weights": {"candidate": 10}})])
def test_to_take_back_takes_no_reason(api: Api, verb: str, asked: dict[str, Any]) -> None:
    api.waiting(gates={"requireReason": True}, **AB_TEST)
    assert api.decide(verb, **asked).status_code == 202


def test_to_hold_takes_no_reason_and_to_go_on_after_it_does(api: Api) -> None:
    api.begin(gates={"requireReason": True})
    assert api.decide("pause").status_code == 202
    assert api.decide("resume").json()["error"]["code"] == "reason_required"
    assert api.decide("resume", reason="the campaign is over").status_code == 202


@pytest.mark.parametrize("verb", ["promote", "resume"])
def test_nobody_is_asked_why_where_the_request_demands_no_reason(api: Api, verb: str) -> None:
    api.waiting()
    done = api.decide(verb)
    assert (done.status_code, done.json()["reason_required"]) == (202, False)


def test_who_decides_nothing_is_told_that_and_not_to_say_why(api: Api) -> None:
    answer = api.decide("promote")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
