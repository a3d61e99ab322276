"""The ways in which candidates are tried under chaos: documents that Tidegate takes, and the person who is asked."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.__main__ import _document
from benchmarks.chaos.killer import Serving, kill_one
from benchmarks.chaos.person import due
from benchmarks.chaos.plans import PLANS, Plan
from tidegate.contract.request import parse_request
from tidegate.trial.steps import trial_steps


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.name)
def test_a_plan_is_a_request_that_ends_at_all_of_the_traffic(plan: Plan, tmp_path: Path) -> None:
    steps = trial_steps(parse_request(_document(plan, tmp_path / "model")), 3)
    assert steps[-1].weight == 100
    assert any(step.until == "person" for step in steps) == (plan.person is not None)


def test_the_plans_are_of_three_strategies_and_some_wait_for_a_person() -> None:
    strategies = {plan.fields.get("deploymentStrategy", "canary") for plan in PLANS}
    assert strategies == {"canary", "blue-green", "rolling"}
    assert {plan.person for plan in PLANS} == {None, "resume", "promote", "abort"}


def rollout(phase: str, until: str, at: int = 0) -> dict[str, Any]:
    return {"phase": phase, "step_index": at, "steps": [{"until": until}]}


def test_a_person_does_what_the_plan_says_at_the_step_that_waits_for_one() -> None:
    assert due(rollout("paused", "person"), "promote") == "promote"
    assert due(rollout("analyzing", "person"), "promote") is None
    assert due(rollout("paused", "person"), None) is None


def test_a_person_resumes_a_hold_that_could_not_be_measured_and_no_step_that_wants_a_pass() -> None:
    assert due(rollout("paused", "time"), "promote") == "resume"
    assert due(rollout("paused", "pass"), "resume") is None
    assert due(rollout("paused", "person", at=-1), "resume") is None


def replica(home: Path, revision: int) -> subprocess.Popen[bytes]:
    """Start a process whose command line is that of a replica."""
    code = "import sys, time; print(flush=True); time.sleep(60)"
    line = [sys.executable, "-c", code, f"-m tidegate.server --bundle {home} --revision {revision} --port 1"]
    started = subprocess.Popen(line, stdout=subprocess.PIPE)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def status(*ready: int, starting: int | None = None) -> dict[str, Any]:
    slots = [{"pid": pid, "ready": True} for pid in ready] + [{"pid": starting, "ready": False}]
    return {"stable": 1, "candidate": 2, "phase": "analyzing", "replicas": {"2": {"replicas": slots}}}


def test_a_kill_knows_how_many_ready_replicas_it_left(tmp_path: Path) -> None:
    two = [replica(tmp_path, 2) for _ in range(2)]
    try:
        gone = os.getpid()  # told to be ready, and no replica that lives
        seen = Serving.of(status(two[0].pid, two[1].pid, gone))
        first = kill_one(tmp_path, "candidate", seen, random.Random(0))
        assert first is not None
        assert (first.revision, first.left) == (2, 1)
        next(one for one in two if one.pid == first.pid).wait(10)
        second = kill_one(tmp_path, "candidate", seen, random.Random(0))
        assert second is not None
        assert second.left == 0
        assert kill_one(tmp_path, "stable", seen, random.Random(0)) is None
    finally:
        for one in two:
            one.kill()
            one.wait(10)


def test_a_replica_that_only_starts_is_not_one_that_is_left(tmp_path: Path) -> None:
    two = [replica(tmp_path, 2) for _ in range(2)]
    try:
        chance = random.Random(0)
        victims = {}
        for _ in two:
            kill = kill_one(tmp_path, "candidate", Serving.of(status(two[0].pid, starting=two[1].pid)), chance)
            assert kill is not None
            victims[kill.pid] = kill.left
            # It is no victim again: a process that was killed is there for a moment more.
            next(one for one in two if one.pid == kill.pid).wait(10)
        assert victims[two[0].pid] == 0
    finally:
        for one in two:
            one.kill()
            one.wait(10)
