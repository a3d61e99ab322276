"""A better model on trial: it is deployed as the controller's canary, and how that ends is put on record.

That a model is about to be deployed is on record before it is. A process that is killed at any moment finds its rollout
again by the version's digest among those that came after, and starts no second one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.client import Client
from tidegate.client.phases import is_terminal
from tidegate.contract.errors import Conflict, NotFound, TidegateError, Unavailable
from tidegate_pipeline import data
from tidegate_pipeline.outcomes import Outcome, of_rollout, rollout_of
from tidegate_pipeline.state import PipelineState, utc_now
from tidegate_pipeline.training_setup import TrainingSetup, parse_setup

#: Between two looks at a rollout that is another's.
_PAUSE_SECONDS = 2.0
#: Who says so, on record of the controller.
BY = "retraining"


@dataclass(frozen=True)
class Delivery:
    """Puts the better models of one run on trial.

    Args:
        folder: of the pipeline: references of drift are written into it.
        progress: called with sentences for people.
        clock: returns now, aware.
    """

    state: PipelineState
    client: Client
    run: str
    folder: Path
    progress: Callable[[str], None] = lambda _said: None
    clock: Callable[[], datetime] = utc_now

    def deliver(self) -> list[dict[str, Any]]:
        """Deploy each model that is better than stable, wait for the ends, and return what is on record of each.

        Raises:
            Unavailable: a rollout has not ended within `canary.patienceMinutes`, or the controller does not answer.
                What is under way goes on, and the same run again finds it.
        """
        setup = parse_setup(self.state.setup(self.run))
        for row in self.state.outcomes(self.run):
            if not Outcome(row["state"]).is_end:
                self._deliver(setup, row)
        return self.state.outcomes(self.run)

    def _deliver(self, setup: TrainingSetup, row: Mapping[str, Any]) -> None:
        training, deployment, reference = row["training"], row["deployment"], row["reference"]
        try:
            if Outcome(row["state"]) is Outcome.PASSED:
                rollouts = self.client.history(deployment)["rollouts"]
                row = self.state.try_out(self.run, training, max((int(one["id"]) for one in rollouts), default=0))
            until = row["on_trial_at"] + timedelta(minutes=setup.canary.patience_minutes)
            rollout = self._begun(setup, row, until)
        except Unavailable:
            raise
        except TidegateError as error:
            self.progress(f"{reference}: {Outcome.FAILED.said}: {error.message}")
            self.state.ended(self.run, training, Outcome.FAILED, error.message)
            return
        self.state.began(self.run, training, rollout["id"])
        self.progress(f"{reference}: rollout {rollout['id']} of {deployment}")
        ended = self.client.wait(
            deployment,
            rollout["id"],
            timeout_seconds=max(1.0, (until - self.clock()).total_seconds()),
            # A person may still resume it.
            until_person=False,
            on_event=lambda event: self.progress(f"{deployment}: {event['message']}"),
        )
        _end(self.state, row, ended)
        self.progress(f"{reference}: {of_rollout(ended).said}: {ended['reason']}")

    def _begun(self, setup: TrainingSetup, row: Mapping[str, Any], until: datetime) -> Mapping[str, Any]:
        """Return the rollout of a version that is on record as on trial: the one that there is, or a new one."""
        while True:
            found = _found(self.client, row)
            if found is not None:
                return found
            status = self.client.status(row["deployment"])
            if not _is_under_way(status):
                try:
                    return self._started(setup, row, status["stable"])
                except Conflict:
                    # Somebody else was faster, or this very run in another process: that one's rollout is looked for.
                    if not _is_under_way(self.client.status(row["deployment"])):
                        raise
            if self.clock() >= until:
                raise Conflict(
                    f"another rollout of {row['deployment']} was under way for as long as was waited "
                    "(canary.patienceMinutes)",
                    subject=row["deployment"],
                )
            time.sleep(_PAUSE_SECONDS)

    def _started(self, setup: TrainingSetup, row: Mapping[str, Any], stable: int | None) -> Mapping[str, Any]:
        deployment, compared_with = row["deployment"], row["evaluation"]["stableRevision"]
        if stable != compared_with:
            raise NotFound(
                f"revision {compared_with} of {deployment}, which it was better than, is stable no more",
                got=str(stable),
            )
        revisions = self.client.history(deployment)["revisions"]
        serving = next(one for one in revisions if one["number"] == compared_with)["request"]
        reference = None
        if serving.get("drift") is not None:
            path = self.folder / "models" / self.run / f"{row['training']}.reference.json"
            trained = self.state.training(self.run, row["training"])
            known = trained["result"].get("until"), row["evaluation"]["stableUntil"]
            data.reference(setup, data.fresh(setup, trained["segment"], *known), path)
            reference = str(path.absolute())
        document = request_of(serving, row["reference"], setup.canary.request, reference)
        accepted = self.client.deploy(document, by=BY)
        if accepted["rollout"] is None:
            raise NotFound(f"{row['reference']} serves as {deployment} already", subject=deployment)
        return self.client.rollout(accepted["rollout"])


def settle(state: PipelineState, client: Client, model: str, clock: Callable[[], datetime] = utc_now) -> None:
    """Put on record how rollouts of earlier retrainings have ended that nobody waited for.

    One that was about to begin, and has not within the patience of its run, never will.
    """
    for row in state.on_trial(model):
        try:
            rollout = _found(client, row)
        except NotFound:
            state.ended(row["run"], row["training"], Outcome.FAILED, "its deployment is gone")
            continue
        if rollout is not None and is_terminal(rollout):
            _end(state, row, rollout)
        elif rollout is None:
            patience = parse_setup(state.setup(row["run"])).canary.patience_minutes
            if clock() > row["on_trial_at"] + timedelta(minutes=patience):
                reason = "it was about to be deployed, and was not: its run was ended before"
                state.ended(row["run"], row["training"], Outcome.FAILED, reason)


def request_of(
    serving: Mapping[str, Any], reference: str, changes: Mapping[str, Any], drift_reference: str | None
) -> dict[str, Any]:
    """Return the document that puts a version on trial: that of what serves, with another model.

    Args:
        serving: the document of the stable revision.
        changes: fields that take the place of its own.
        drift_reference: what the new revision's data is compared with, where that is watched.
    """
    document: dict[str, Any] = {**deepcopy(dict(serving)), "modelArtifact": {"path": reference}}
    if document.pop("abTest", None) is not None and document.get("deploymentStrategy") == "ab-test":
        document["deploymentStrategy"] = "canary"
    if document.get("drift") is not None and drift_reference is not None:
        document["drift"] = {**document["drift"], "reference": drift_reference}
    return {**document, **deepcopy(dict(changes))}


def _found(client: Client, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if row["rollout"] is not None:
        return client.rollout(row["rollout"])
    digest = client.registry.version(row["reference"])["digest"]
    return rollout_of(client.history(row["deployment"]), digest, row["reference"], row["after_rollout"])


def _is_under_way(status: Mapping[str, Any]) -> bool:
    return status["rollout"] is not None and not is_terminal(status["rollout"])


def _end(state: PipelineState, row: Mapping[str, Any], rollout: Mapping[str, Any]) -> None:
    state.began(row["run"], row["training"], rollout["id"])
    state.ended(row["run"], row["training"], of_rollout(rollout), rollout["reason"] or rollout["phase"])
