"""The steps of a retraining, each of which is a command and a block of Mage, and all of them one after another.

Each may be done again: what it did before is found on record, and not done twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tidegate.client import Client
from tidegate.contract.errors import Conflict, InvalidInput, TidegateError
from tidegate_pipeline import cluster, data, limits, registering, training
from tidegate_pipeline.delivering import Delivery, settle
from tidegate_pipeline.evaluating import Evaluator
from tidegate_pipeline.source import load_document
from tidegate_pipeline.state import PipelineState, utc_now
from tidegate_pipeline.training_setup import TrainingSetup, parse_setup
from tidegate_pipeline.trainings import Leaderboard, ended_of, leaderboard, most_at_once, planned, require_enough

#: What an attempt takes beside H2O's own time: data that is written, sent and read, and the pause before it.
_BESIDE_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Needed:
    """What drift is a reason to retrain; see the options of `sense`."""

    deployment: str
    model: str
    at_least: str = "moderate"
    min_requests: int = 1000
    by: str = ""
    max_age_hours: float = 24.0


def new_run() -> str:
    """Return a name for a run: when it began, and what tells it from others of the same second."""
    return f"{utc_now():%Y%m%dt%H%M%S}-{uuid.uuid4().hex[:6]}"


def asked_for(setup: Path, deployment: str | None = None) -> TrainingSetup:
    """Read the document of a retraining, whose files are found beside it.

    Args:
        deployment: that it has to be for; None for whatever it says.
    """
    document = load_document(setup)
    if deployment is not None and isinstance(document, dict):
        document = {"deployment": deployment, **document}
    asked = parse_setup(document)
    if deployment is not None and asked.deployment != deployment:
        raise InvalidInput(
            "the setup is for another deployment", subject=str(setup), expected=deployment, got=str(asked.deployment)
        )
    own = asked.evaluation.data
    fresh = None if own is None else str((setup.parent / own).absolute())
    evaluation = asked.evaluation.model_copy(update={"data": fresh})
    return asked.model_copy(update={"data": str((setup.parent / asked.data).absolute()), "evaluation": evaluation})


def sense(state: PipelineState, client: Client, needed: Needed, allowed: limits.Limits) -> dict[str, Any]:
    """Say whether a retraining is due; put on record first how rollouts of earlier ones ended."""
    settle(state, client, needed.model)
    past = state.retrained(needed.model)
    found = client.drift_sensor(
        needed.deployment,
        at_least=needed.at_least,  # type: ignore[arg-type]  # checked there, with a message
        min_requests=needed.min_requests,
        by=[one.strip() for one in needed.by.split(",") if one.strip()],  # type: ignore[misc]
        retrained_at=past[0].began_at if past else None,
        cool_down=allowed.cool_down,
        max_age=timedelta(hours=needed.max_age_hours),
    )
    against = limits.against(past, utc_now(), allowed) if found.is_due else None
    why = found.why if against is None else f"{found.why}; but {against}"
    return {"due": found.is_due and against is None, "why": why}


def claim(state: PipelineState, model: str, why: str, allowed: limits.Limits | None, run: str) -> None:
    """Put a retraining on record.

    Args:
        allowed: None for whatever the limits say.

    Raises:
        Conflict: they speak against it.
    """
    may = None if allowed is None else lambda past: limits.against(past, utc_now(), allowed)
    against = state.claim(run, model, why, may)
    if against is not None:
        raise Conflict(f"{model} is not retrained: {against}", subject=model, hint="--force retrains it all the same")


def plan(state: PipelineState, asked: TrainingSetup, run: str) -> dict[str, Any]:
    """Put the trainings of a run on record, and return them."""
    made = planned(asked, data.segments(asked, data.read(asked)))
    state.plan(run, asked.as_document(), [one.as_document() for one in made.trainings])
    return {
        "run": run,
        "trainings": [one.as_document() for one in made.trainings],
        "tooSmall": dict(made.too_small),
        "timeoutSeconds": _longest(asked, len(made.trainings)),
    }


def board(state: PipelineState, run: str, say: Say) -> dict[str, Any]:
    """Rank the trainings of a run, and put that on record; Conflict where too many failed."""
    asked, found = _board(state, run)
    health = cluster.health(asked.cluster.url)
    together = most_at_once([*found.ranked, *found.failed])
    document = {**found.as_document(), "run": run, "cluster": health.as_document(), "atOnce": together}
    state.conclude(run, document)
    say("\n".join(found.lines()))
    require_enough(found, asked.most_failed)
    return document


def register(state: PipelineState, client: Client, run: str) -> list[dict[str, Any]]:
    """Register the best model of each segment, and return the versions."""
    asked, found = _board(state, run)
    require_enough(found, asked.most_failed)
    versions = registering.register(client, asked, found, run)
    state.conclude(run, {**state.report(run), "registered": versions})
    return versions


def report(state: PipelineState, run: str | None) -> dict[str, Any]:
    """Return what came of a run, None being the last that has a leaderboard."""
    found = state.report(run)
    of = state.run(found["run"])
    about = {"model": of["model"], "why": of["why"], "claimedAt": of["claimed_at"].isoformat(timespec="seconds")}
    return {**found, **about, "outcomes": [plain(one) for one in state.outcomes(found["run"])]}


@dataclass(frozen=True)
class Everything:
    """A whole retraining in this process; see the options of `retrain`."""

    state: PipelineState
    client: Client
    folder: Path
    say: Say

    def run(
        self,
        asked: TrainingSetup,
        *,
        run: str | None = None,
        why: str = "asked for",
        allowed: limits.Limits | None = None,
        needed: Needed | None = None,
    ) -> dict[str, Any]:
        """Claim, plan, train, rank, register, compare and deploy; return the report, with `due`.

        Args:
            run: one that was claimed before, and did not get to its end.
            allowed: None for whatever the limits say.
            needed: what drift has to be there; None for whether or not.

        Raises:
            Unavailable: the cluster does not answer (nothing was claimed), or the controller.
            Conflict: the limits speak against it, or too many trainings failed.
        """
        settle(self.state, self.client, asked.model)
        if needed is not None and run is None:
            said = sense(self.state, self.client, needed, allowed or limits.Limits(timedelta(0), 1_000, timedelta(0)))
            if not said["due"]:
                return said
            why = said["why"]
        # Before anything counts as a retraining.
        cluster.health(asked.cluster.url)
        name = run or new_run()
        if run is None:
            claim(self.state, asked.model, why, allowed, name)
        self.say(f"run {name}: {why}")
        try:
            made = plan(self.state, asked, name)
        except TidegateError:
            self.state.release(name)
            raise
        for one in made["trainings"]:
            training.train(self.state, name, one["name"], self.folder, self.say)
        if "registered" not in self._known(name):
            board(self.state, name, self.say)
        register(self.state, self.client, name)
        Evaluator(self.state, self.client, name, self.say).evaluate()
        Delivery(self.state, self.client, name, self.folder, self.say).deliver()
        return {"due": True, **report(self.state, name)}

    def _known(self, run: str) -> dict[str, Any]:
        return self.state.report(run) if self.state.run(run)["ended_at"] is not None else {}


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the database as JSON has it."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def _longest(setup: TrainingSetup, trainings: int) -> float:
    """Return how many seconds a training may take with all attempts, when it waits for all others."""
    rounds = -(-trainings // setup.cluster.at_once)
    return rounds * setup.attempts * (setup.most_seconds + _BESIDE_SECONDS)


def _board(state: PipelineState, run: str) -> tuple[TrainingSetup, Leaderboard]:
    asked = parse_setup(state.setup(run))
    return asked, leaderboard(asked.metric, [ended_of(row) for row in state.trainings(run)])
