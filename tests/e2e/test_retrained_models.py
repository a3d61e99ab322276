"""A retrained model on its way from the registry to production, without H2O: compared, deployed once, and on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from examples.flights import data
from examples.flights.mojos import recipes
from tests.e2e.conftest import Tidegate
from tidegate.client import Client
from tidegate_pipeline.delivering import Delivery, request_of, settle
from tidegate_pipeline.evaluating import Evaluator
from tidegate_pipeline.outcomes import Outcome
from tidegate_pipeline.state import PipelineState, utc_now
from tidegate_pipeline.training_setup import parse_setup

pytestmark = [pytest.mark.e2e, pytest.mark.long]

FIRST, SECOND, _ = (recipe.path for recipe in recipes.RECIPES)
PLANNED = [{"name": "gbm", "segment": None, "configuration": "gbm"}]
#: Nobody asks these deployments, so each step ends by its time.
BLIND = {"analysis": {"stepDuration": "1s", "baseline": "0s", "onInconclusive": "continue"}, "steps": [50, 100]}


@dataclass
class Run:
    """A run whose model is registered, for a deployment where another one serves."""

    client: Client
    state: PipelineState
    folder: Path
    name: str

    @property
    def delivery(self) -> Delivery:
        return Delivery(self.state, self.client, self.name, self.folder)

    @property
    def row(self) -> dict[str, Any]:
        return self.state.outcome(self.name, "gbm")

    def phases(self) -> list[str]:
        return [one["phase"] for one in self.client.history(self.name)["rollouts"]]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flights with their times, and whether they were late."""
    flights = data.load_flights()
    rows = pd.DataFrame(data.traffic(flights, 4_000, 3))
    rows["late"] = [("yes", "no")[number % 3 > 0] for number in range(len(rows))]
    rows["at"] = pd.date_range("2013-01-01", periods=len(rows), freq="10min", tz="UTC")
    path = tmp_path_factory.mktemp("fresh") / "flights.parquet"
    rows.to_parquet(path)
    return path


@pytest.fixture(scope="module")
def opened(tidegate: Tidegate) -> Iterator[tuple[Client, PipelineState]]:
    with tidegate.client as client, PipelineState.at(None, tidegate.home) as state:
        yield client, state


@pytest.fixture
def run(
    request: pytest.FixtureRequest, tidegate: Tidegate, opened: tuple[Client, PipelineState], fresh: Path
) -> Iterator[Run]:
    client, state = opened
    name = f"r{abs(hash(request.node.name)) % 10_000_000}"
    small = {"infrastructure": {"resources": {"replicas": 1}}}
    assert tidegate.ended(tidegate.deploy(name, FIRST, **small))["outcome"] == "promoted"
    setup = parse_setup(
        {
            "model": name,
            "deployment": name,
            "data": str(fresh),
            "target": "late",
            "holdout": {"timeColumn": "at"},
            "configurations": [{"name": "gbm", "algorithm": "gbm"}],
            # What is compared is no matter here.
            "evaluation": {"mayBeWorseBy": 100, "minRows": 10, "resample": "row"},
            "canary": {"request": BLIND},
        }
    )
    state.plan(name, setup.as_document(), PLANNED)
    state.end(name, "gbm", "trained", {"metrics": {"auc": 0.7}, "mojo": str(SECOND), "until": None})
    added = client.registry.add(name, {"path": str(SECOND)})["version"]
    registered = {"model": name, "version": added["version"], "reference": added["reference"], "training": "gbm"}
    state.conclude(name, {"run": name, "registered": [registered]})
    yield Run(client, state, tidegate.folder / "pipeline", name)
    client.delete(name)


def test_a_model_that_passes_is_deployed_once_however_often_it_is_asked_for(run: Run) -> None:
    (row,) = Evaluator(run.state, run.client, run.name).evaluate()
    assert (row["state"], row["evaluation"]["verdict"]) == (Outcome.PASSED, "pass")
    assert row["evaluation"]["rows"] == 800
    assert "whether stable was trained with some of these rows is not known" in row["reason"]
    for _ in range(2):
        (row,) = run.delivery.deliver()
        assert (row["state"], run.phases()) == (Outcome.PROMOTED, ["promoted", "promoted"])
    assert row["rollout"] == run.client.history(run.name)["rollouts"][-1]["id"]
    # The same model again is no better than itself.
    run.state.plan(f"{run.name}x", run.state.setup(run.name), PLANNED)
    run.state.end(f"{run.name}x", "gbm", "trained", {"until": None})
    run.state.conclude(f"{run.name}x", {**run.state.report(run.name), "run": f"{run.name}x"})
    (row,) = Evaluator(run.state, run.client, f"{run.name}x").evaluate()
    assert (row["state"], row["reason"]) == (Outcome.NOT_BETTER, "it is what serves already")


def test_a_run_that_was_killed_before_it_deployed_deploys(run: Run) -> None:
    Evaluator(run.state, run.client, run.name).evaluate()
    run.state.try_out(run.name, "gbm", after_rollout=int(run.client.history(run.name)["rollouts"][-1]["id"]))
    run.delivery.deliver()
    assert (run.row["state"], len(run.phases())) == (Outcome.PROMOTED, 2)


def test_a_run_that_was_killed_after_it_deployed_finds_its_rollout(run: Run) -> None:
    Evaluator(run.state, run.client, run.name).evaluate()
    history = run.client.history(run.name)
    run.state.try_out(run.name, "gbm", after_rollout=int(history["rollouts"][-1]["id"]))
    serving = history["revisions"][-1]["request"]
    accepted = run.client.deploy(request_of(serving, run.row["reference"], BLIND, None))
    run.delivery.deliver()
    assert (run.row["state"], run.row["rollout"]) == (Outcome.PROMOTED, accepted["rollout"])
    assert len(run.phases()) == 2


def test_a_rollout_that_nobody_waited_for_is_put_on_record_by_the_next_run(run: Run) -> None:
    Evaluator(run.state, run.client, run.name).evaluate()
    history = run.client.history(run.name)
    run.state.try_out(run.name, "gbm", after_rollout=int(history["rollouts"][-1]["id"]))
    settle(run.state, run.client, run.name)
    assert run.row["state"] == Outcome.ON_TRIAL
    serving = history["revisions"][-1]["request"]
    accepted = run.client.deploy(request_of(serving, run.row["reference"], BLIND, None))
    run.client.wait(run.name, str(accepted["rollout"]), timeout_seconds=60)
    settle(run.state, run.client, run.name)
    assert (run.row["state"], run.row["rollout"]) == (Outcome.PROMOTED, accepted["rollout"])


def test_a_rollout_that_never_began_keeps_nobody_from_retraining_for_ever(run: Run) -> None:
    Evaluator(run.state, run.client, run.name).evaluate()
    run.state.try_out(run.name, "gbm", after_rollout=int(run.client.history(run.name)["rollouts"][-1]["id"]))
    settle(run.state, run.client, run.name, lambda: utc_now() + timedelta(minutes=241))
    assert run.row["state"] == Outcome.FAILED
    assert "was about to be deployed" in run.row["reason"]


def test_a_model_that_was_compared_with_another_stable_is_not_deployed(run: Run) -> None:
    Evaluator(run.state, run.client, run.name).evaluate()
    serving = run.client.history(run.name)["revisions"][-1]["request"]
    another = {**request_of(serving, str(FIRST), BLIND, None), "servingRequirements": {"latencyP99": "1s"}}
    accepted = run.client.deploy(another)
    run.client.wait(run.name, str(accepted["rollout"]), timeout_seconds=60)
    run.delivery.deliver()
    assert run.row["state"] == Outcome.FAILED
    assert "is stable no more" in run.row["reason"]
    assert len(run.phases()) == 2


def test_a_deployment_that_is_not_there_is_on_record_as_the_reason(run: Run) -> None:
    setup = {**run.state.setup(run.name), "deployment": "gone"}
    run.state.plan(f"{run.name}g", setup, PLANNED)
    run.state.end(f"{run.name}g", "gbm", "trained", {"until": None})
    run.state.conclude(f"{run.name}g", {**run.state.report(run.name), "run": f"{run.name}g"})
    (row,) = Evaluator(run.state, run.client, f"{run.name}g").evaluate()
    assert row["state"] == Outcome.FAILED
    assert "could not be compared with gone" in row["reason"]
