"""Two people decide at the same moment: one wins, the other is told so, and the state is what the winner said."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Tidegate, eventually
from tidegate.cli.progress import outcome_error
from tidegate.client import follow, is_terminal
from tidegate.contract.errors import Conflict

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NAME = "contested"
ONE = {"resources": {"replicas": 1}}
#: By how much one of two who decide may be later than the other: some looks at the replicas.
LONGEST_LAG_SECONDS = 0.5


@pytest.fixture(scope="module")
def bundle(tidegate: Tidegate, good_model: Path) -> Path:
    """A model as the controller keeps it: deployed by this path it is not checked again, as a file is each time."""
    tidegate.ended(tidegate.deploy(NAME, good_model, infrastructure=ONE))
    with tidegate.client as client:
        (revision,) = client.history(NAME)["revisions"]
    return tidegate.home / "bundles" / str(revision["digest"])


@dataclass(frozen=True)
class Told:
    """What one of the two was told.

    Attributes:
        refusal: None when it was accepted.
        answer: the rollout as it was then; None when it was refused.
        outcome: what who waits for the end is told, as by `--wait`.
    """

    refusal: str | None = None
    answer: dict[str, Any] | None = None
    outcome: str | None = None


def decide(tidegate: Tidegate, both: threading.Barrier, verb: str, lag_seconds: float) -> Told:
    """Ask for it at the same moment as the other one, or so much later, and wait for what comes of it."""
    with tidegate.client as client:
        ask: Any = getattr(client, verb)
        both.wait()
        time.sleep(lag_seconds)
        try:
            answer = ask(NAME, by=verb, reason="at the same moment")
        except Conflict as refused:
            return Told(refused.message)
        for look in follow(client, NAME, answer["id"]):
            if look.rollout is not None and is_terminal(look.rollout):
                return Told(None, dict(answer), outcome_error(NAME, look.rollout).message)
    raise AssertionError("follow ends only with the rollout")


def promote_arm(tidegate: Tidegate, both: threading.Barrier, name: str, arm: str) -> str | None:
    """Promote an arm at the same moment as somebody else another one; return the refusal, None when it was done."""
    with tidegate.client as client:
        both.wait()
        try:
            client.promote(name, arm=arm, by=arm, reason="at the same moment")
        except Conflict as refused:
            return refused.message
    return None


def _is_split(tidegate: Tidegate, split: dict[str, int]) -> bool:
    return bool(tidegate.status(NAME)["split_asked"] == split)


def test_of_a_promote_and_an_abort_at_once_one_wins_twenty_times(tidegate: Tidegate, bundle: Path) -> None:
    """A promote waits for a look at the replicas, and says so; until then an abort wins over it.

    Each in turn is a little earlier than the other, from not at all to longer than a look takes.
    """
    winners = []
    for attempt in range(20):
        stable = tidegate.status(NAME)["stable"]
        rollout = tidegate.deploy(
            NAME,
            bundle,
            infrastructure=ONE,
            steps=[{"weight": 50}, {"pause": "person"}, 100],
            analysis={"stepDuration": "10m", "baseline": "0s", "interval": "100ms"},
            modelArtifact={"path": str(bundle), "version": f"attempt-{attempt}"},
        )
        candidate = tidegate.in_phase(NAME, "analyzing")["candidate"]
        both = threading.Barrier(2)
        lag = LONGEST_LAG_SECONDS * (attempt // 2 / 9) ** 3  # most of them are short
        lags = {"promote": 0.0, "abort": lag} if attempt % 2 else {"promote": lag, "abort": 0.0}
        with ThreadPoolExecutor(2) as pool:
            asked = {verb: pool.submit(decide, tidegate, both, verb, seconds) for verb, seconds in lags.items()}
            told = {verb: decided.result() for verb, decided in asked.items()}
        report = tidegate.ended(rollout)
        refusals = [one.refusal for one in told.values() if one.refusal is not None]
        assert len(refusals) < 2, refusals
        assert all("decided already" in refusal or "no rollout" in refusal for refusal in refusals), refusals
        winner = "abort" if told["abort"].refusal is None else "promote"
        winners.append(winner)
        assert all(f"{winner} asked to {winner}" in refusal for refusal in refusals), "who comes second is told of whom"
        if (answer := told["promote"].answer) is not None:
            assert answer["phase"] == "scaling", "it is not done yet"
            assert answer["waiting_for"].startswith("replicas of the candidate"), answer["waiting_for"]
        if not refusals:
            assert winner == "abort"
            undone = f"revision {candidate} was aborted: abort asked to abort: at the same moment. Revision {stable} "
            assert undone in str(told["promote"].outcome), "who waits for the promotion is told who ended it"
        assert (report["outcome"], report["decided_by"]) == ("promoted" if winner == "promote" else "aborted", winner)
        serves = candidate if winner == "promote" else stable
        split = {str(serves): 100}
        eventually("the winner's split", partial(_is_split, tidegate, split))
        assert tidegate.status(NAME)["stable"] == serves
        decisions = [event for event in report["events"] if event["data"].get("by") in ("promote", "abort")]
        assert decisions[-1]["data"]["by"] == winner
    assert set(winners) == {"promote", "abort"}, winners


def test_of_two_people_who_promote_different_arms_at_once_one_wins_five_times(tidegate: Tidegate, bundle: Path) -> None:
    name = "contested-arms"
    tidegate.ended(tidegate.deploy(name, bundle, infrastructure=ONE))
    champion = str(bundle)
    for attempt in range(5):
        stable = tidegate.status(name)["stable"]
        arms = [
            {"name": arm, "weight": 30, "modelArtifact": {"path": champion, "version": f"{arm}-{attempt}"}}
            for arm in ("b", "c")
        ]
        rollout = tidegate.deploy(
            name,
            bundle,
            deploymentStrategy="ab-test",
            abTest={"arms": arms},
            infrastructure=ONE,
            steps=None,
            analysis={"baseline": "0s", "interval": "100ms"},
        )
        tidegate.in_phase(name, "paused")
        both = threading.Barrier(2)

        with ThreadPoolExecutor(2) as pool:
            told = pool.map(partial(promote_arm, tidegate, both, name), ("b", "c"))
            refused = dict(zip(("b", "c"), told, strict=True))
        report = tidegate.ended(rollout)
        (winner,) = [arm for arm, said in refused.items() if said is None]
        (loser,) = [said for said in refused.values() if said is not None]
        assert "decided already" in loser or "no rollout" in loser, loser
        numbers = {arm["name"]: arm["revision"] for arm in report["arms"]}
        assert (report["outcome"], report["decided_by"], report["to_revision"]) == ("promoted", winner, numbers[winner])
        assert tidegate.status(name)["stable"] == numbers[winner] != stable
