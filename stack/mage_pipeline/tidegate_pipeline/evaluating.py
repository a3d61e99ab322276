"""The best models of a run against what serves: both answer fresh rows, and what that says is put on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.client import Client
from tidegate.contract.errors import InvalidInput, NotFound, TidegateError, Unavailable
from tidegate_pipeline import data
from tidegate_pipeline.evaluation import Evaluation, Paired, Policy, Verdict, evaluate
from tidegate_pipeline.outcomes import Outcome
from tidegate_pipeline.registering import move_alias
from tidegate_pipeline.scoring import same, scores
from tidegate_pipeline.state import PipelineState
from tidegate_pipeline.training_setup import TrainingSetup, parse_setup
from tidegate_pipeline.trainings import slug

_OUTCOMES = {
    Verdict.PASS: Outcome.PASSED,
    Verdict.FAIL: Outcome.NOT_BETTER,
    Verdict.INCONCLUSIVE: Outcome.NOT_BETTER,
}


@dataclass(frozen=True)
class Evaluator:
    """Compares the models of one run with what serves.

    Args:
        progress: called with sentences for people.
    """

    state: PipelineState
    client: Client
    run: str
    progress: Callable[[str], None] = lambda _said: None

    def evaluate(self) -> list[dict[str, Any]]:
        """Compare each model that the run registered; return what is on record of each.

        One that was compared before is not compared again. One that cannot be compared is on record as failed.

        Raises:
            NotFound: there is no such run, or it has registered nothing.
            Unavailable: the controller does not answer, or the models are not on this machine.
        """
        setup, report = parse_setup(self.state.setup(self.run)), self.state.report(self.run)
        if setup.deployment is None:
            self.progress("the setup names no deployment, so nothing is compared with what serves")
            return []
        if "registered" not in report:
            raise NotFound(f"the run {self.run!r} has registered nothing yet", subject=self.run)
        known = {one["training"] for one in self.state.outcomes(self.run)}
        for version in report["registered"]:
            if version["training"] not in known:
                self._compare(setup, version)
        return self.state.outcomes(self.run)

    def _compare(self, setup: TrainingSetup, version: Mapping[str, Any]) -> None:
        row = self.state.training(self.run, version["training"])
        deployment, reference, document = deployment_of(setup, row["segment"]), version["reference"], None
        try:
            bundles = Path(self.client.info()["home"]) / "bundles"
            digest = self.client.registry.version(reference)["digest"]
            stable = self._stable(deployment)
            if stable["digest"] == digest:
                outcome, reason = Outcome.NOT_BETTER, "it is what serves already"
            else:
                until = self._known_until(stable, row["segment"])
                found = _evaluation(setup, row, bundles / stable["digest"], bundles / digest, stable_until=until)
                outcome, reason = _OUTCOMES[found.verdict], found.why
                if until is None:
                    reason += "; whether stable was trained with some of these rows is not known"
                document = {**found.as_document(), "stableRevision": stable["number"], "stableUntil": until}
        except Unavailable:
            # No fault of the model: it is asked again.
            raise
        except TidegateError as error:
            outcome, reason = Outcome.FAILED, f"it could not be compared with {deployment}: {error.message}"
        if outcome is Outcome.PASSED:
            # Before that is on record: a process that is killed in between does it again.
            move_alias(self.client, setup, self.run, version["model"], version["version"])
        self.progress(f"{reference}: {outcome.said}: {reason}")
        values = {"reference": reference, "deployment": deployment, "state": outcome.value, "reason": reason}
        self.state.compared(self.run, version["training"], evaluation=document, **values)

    def _stable(self, deployment: str) -> Mapping[str, Any]:
        """Return the revision of a deployment that serves."""
        number = self.client.status(deployment)["stable"]
        found = next((one for one in self.client.history(deployment)["revisions"] if one["number"] == number), None)
        if found is None:
            raise NotFound("nothing serves there", subject=deployment, hint="deploy a first model: tidegate deploy")
        return found

    def _known_until(self, stable: Mapping[str, Any], segment: str | None) -> str | None:
        """Return the newest row that stable was trained or chosen by; None where no run of this pipeline made it."""
        path = stable["request"]["modelArtifact"]["path"]
        if not path.startswith("models:/"):
            return None
        run = self.client.registry.version(path)["lineage"].get("run")
        of_segment = [one for one in self.state.trainings(str(run)) if one["segment"] == segment]
        found = [one["result"].get("until") for one in of_segment if one["result"]]
        return max((one for one in found if one is not None), default=None)


def deployment_of(setup: TrainingSetup, segment: str | None) -> str:
    """Return the name of the deployment that a model is for; each segment has one of its own."""
    name = str(setup.deployment)
    return name if segment is None else f"{name}-{slug(segment)}"


def _evaluation(
    setup: TrainingSetup, row: Mapping[str, Any], stable: Path, challenger: Path, *, stable_until: str | None
) -> Evaluation:
    asked = setup.evaluation
    fresh = data.fresh(setup, row["segment"], row["result"].get("until"), stable_until)
    policy = Policy(
        setup.compared_by, asked.may_be_worse_by, asked.alpha, asked.min_rows, by_day=asked.resample == "day"
    )
    target = fresh.rows[setup.target]
    if not fresh.rows.num_rows:
        nothing = np.zeros(0)
        return evaluate(Paired(nothing, nothing, nothing, fresh.days), policy)
    classes = None
    if setup.kind == "classification":
        texts = data.as_text(target).to_pylist()
        classes = sorted({*texts, *data.classes(setup, row["segment"])})
        places = {same(name): place for place, name in enumerate(classes)}
        if len(places) != len(classes):
            raise InvalidInput("two classes differ in case alone", subject=setup.target, got=", ".join(classes))
        truth = np.array([places[same(one)] for one in texts])
    else:
        truth = np.asarray(target.to_pylist(), dtype=np.float64)
    return evaluate(
        Paired(truth, scores(stable, fresh.rows, classes), scores(challenger, fresh.rows, classes), fresh.days), policy
    )
