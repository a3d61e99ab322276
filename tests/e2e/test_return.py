"""A revision that was stable lately is returned to in one step, also past the one before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Tidegate
from tests.support.quick_models import write_flights
from tidegate.contract.errors import Conflict

pytestmark = pytest.mark.e2e

NAME = "returned"


@pytest.fixture(scope="module")
def three_revisions(tidegate: Tidegate, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Revisions 1, 2 and 4 were stable, one after the other; 3 was taken back by a person."""
    folder = tmp_path_factory.mktemp("revisions")
    paths = [write_flights(folder / f"{hour}.onnx", from_hour=hour) for hour in (14.0, 15.0, 16.0, 17.0)]
    for number, path in enumerate(paths, start=1):
        rollout = tidegate.deploy(NAME, path, deploymentStrategy="canary", steps=[{"weight": 50}, {"weight": 100}])
        if number == 1:
            tidegate.ended(rollout)
            continue
        tidegate.in_phase(NAME, "analyzing")
        with tidegate.client as client:
            decide = client.abort if number == 3 else client.promote
            decide(NAME, by="ada", reason="for the test")
        tidegate.ended(rollout)
    assert tidegate.status(NAME)["stable"] == 4


def told(tidegate: Tidegate, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "tidegate"), "--home", str(tidegate.home), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))


@pytest.mark.usefixtures("three_revisions")
def test_two_revisions_back_in_one_step_fails_no_request_and_starts_no_replica_twice(tidegate: Tidegate) -> None:
    traffic = tidegate.traffic(NAME)
    done = told(tidegate, "rollback", NAME, "--to", "1", "--by", "bob", "--reason", "better", "--wait")
    assert done.returncode == 0, done.stderr
    status = tidegate.status(NAME)
    assert (status["stable"], status["split_asked"]) == (1, {"1": 100})
    assert status["replicas"]["1"]["ready"] == 2
    rollout = status["rollout"]["id"]
    report = tidegate.ended(rollout)
    assert (report["outcome"], report["decided_by"]) == ("promoted", "bob")
    assert report["steps"] == []  # in one step: nothing is tried again
    records = traffic.stop()
    assert not [record for record in records if record.failed]
    answered = [record.revision for record in records]
    assert set(answered) == {1, 4}
    assert answered[-1] == 1
    # From the old one to the new one, once: requests that cross at the switch may come in either order.
    first = answered.index(1)
    assert 4 not in answered[first + 20 :]
    restarts = tidegate.status(NAME)["replicas"]["1"]["restarts"]
    assert restarts == 0


@pytest.mark.usefixtures("three_revisions")
def test_without_a_number_the_revision_that_was_stable_before_is_meant(tidegate: Tidegate) -> None:
    before = tidegate.status(NAME)["stable"]
    done = told(tidegate, "rollback", NAME, "--wait")
    assert done.returncode == 0, done.stderr
    assert tidegate.status(NAME)["stable"] not in {before, 3}


@pytest.mark.usefixtures("three_revisions")
def test_what_was_never_stable_is_not_returned_to_without_a_trial(tidegate: Tidegate) -> None:
    before = tidegate.status(NAME)
    with tidegate.client as client, pytest.raises(Conflict, match="was never stable"):
        client.rollback(NAME, to=3, by="bob")
    assert tidegate.status(NAME)["stable"] == before["stable"]


@pytest.mark.usefixtures("three_revisions")
def test_a_return_goes_on_when_the_controller_is_killed_in_the_middle(tidegate: Tidegate) -> None:
    stable = tidegate.status(NAME)["stable"]
    other = next(number for number in (2, 1) if number != stable)
    with tidegate.client as client:
        accepted = client.rollback(NAME, to=other, by="bob")
    tidegate.controller().kill()
    tidegate.start()
    report = tidegate.ended(accepted["rollout"])
    assert (report["outcome"], report["decided_by"]) == ("promoted", "bob")
    assert tidegate.status(NAME)["stable"] == other
