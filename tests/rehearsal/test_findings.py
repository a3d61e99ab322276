"""What a rehearsal concludes from a rollout's report and from the sender's records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.faults import parse_fault
from tidegate.contract.quantities import Duration
from tidegate.contract.request import parse_request
from tidegate.rehearsal import pages
from tidegate.rehearsal.findings import Answers, Ending, Finding, advised, answers_of, finding_of, signals_of
from tidegate.rehearsal.traffic import Answered, Sent

BEGAN = datetime(2026, 11, 2, 12, tzinfo=UTC)
REQUEST = parse_request({"name": "churn", "modelArtifact": {"path": "/m"}, "servingRequirements": {}})
LIMIT = Duration.parse("10m")


def event(seconds: float, kind: str, message: str = "", **data: Any) -> dict[str, Any]:
    return {"at": (BEGAN + timedelta(seconds=seconds)).isoformat(), "kind": kind, "message": message, "data": data}


def verdict(*failing: str) -> dict[str, Any]:
    signals = [{"signal": name, "outcome": "fail" if name in failing else "pass"} for name in ("errors", "latency")]
    return {"outcome": "fail" if failing else "pass", "reason": "errors: 5 of 26 failed", "signals": signals}


def report(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    rollback = {"weight_before": 20, "split_in_force_ms": 12.0}
    return {"events": list(events), "reason": "as it ended", "checks": None, "rollback": rollback, **fields}


def test_what_the_judge_failed_is_the_signal_and_the_time_runs_from_the_first_request() -> None:
    told = report(
        event(0, "preparing"),
        event(3, "analyzing", weight=20),
        event(6.5, "rolling_back", "errors: 5 of 26 failed", verdict=verdict("errors")),
        event(6.6, "rolled_back"),
    )
    found = finding_of(parse_fault("errors"), Ending.ROLLED_BACK, told, Answers(), stands_for=7, time_limit=LIMIT)
    assert (found.signals, found.seconds, found.back_to, found.percent) == (("errors",), 3.5, 7, 20)
    assert found.rollout_seconds == 6.5
    assert pages.row(found.as_dict()) == (
        "errors=20%",
        "yes",
        "errors",
        "3.5 s at 20 %",
        "0 of 0",
        "revision 7, at 0 % after 12 ms",
    )


def test_replicas_that_die_or_stay_away_are_signals_of_their_own() -> None:
    died = event(5, "rolling_back", "the candidate's replicas died 4 times", verdict=verdict())
    assert signals_of(report(event(4, "replica_died"), died)) == ("replica deaths",)
    assert signals_of(report(event(5, "rolling_back", "no replica was ready", verdict=None))) == ("readiness",)


def test_a_refusal_by_golden_requests_comes_before_any_request() -> None:
    told = report(event(0, "preparing"), event(4, "rolling_back", "1 of 1 golden"), checks={"passed": False})
    found = finding_of(
        parse_fault("wrong-answers"), Ending.ROLLED_BACK, told, Answers(), stands_for=1, time_limit=LIMIT
    )
    assert found.signals == ("golden requests",)
    assert pages.row(found.as_dict())[3] == "before any request"


@pytest.mark.parametrize("ending", [Ending.PROMOTED, Ending.WAITS, Ending.TIME_LIMIT])
def test_what_was_not_taken_back_is_a_hole_with_its_ending(ending: Ending) -> None:
    told = report(event(0, "preparing"), event(3, "analyzing", weight=20), event(9, "promoted"), rollback=None)
    found = finding_of(parse_fault("errors=1%"), ending, told, Answers(sent=9), stands_for=1, time_limit=LIMIT)
    assert not found.detected
    assert (found.signals, found.back_to, found.seconds) == ((), None, None)
    assert pages.row(found.as_dict())[1] == f"no: {ending}"
    assert pages.holes_of(found)[0].startswith("errors=1% was not taken back")


@given(st.lists(st.tuples(st.sampled_from([1, 2, None]), st.sampled_from(list(Answered)))))
def test_every_bad_answer_is_counted_once_and_stables_apart(told: list[tuple[int | None, Answered]]) -> None:
    answers = answers_of([Sent(0.0, revision, answered) for revision, answered in told], stable=1)
    theirs = [answered for revision, answered in told if revision != 1]
    assert answers.sent == len(told)
    assert answers.bad == sum(answered is not Answered.WELL for answered in theirs)
    assert answers.failed_of_stable == sum(told == (1, Answered.FAILED) for told in told)


def found(fault: str, ending: Ending, **answers: int) -> Finding:
    finding = Finding(parse_fault(fault), ending, (), "r", None, 0.0, None, None, 1.0, Answers(**answers))
    return Finding(**{**vars(finding), "advice": advised(finding, REQUEST)})


def test_advice_fits_the_fault_and_how_it_ended() -> None:
    assert found("errors", Ending.ROLLED_BACK).advice == ()
    assert "golden" in found("wrong-answers", Ending.PROMOTED).advice[0]
    assert "within the objective" in found("latency=+10ms", Ending.PROMOTED).advice[0]
    assert "within the objective" in found("errors=0.1%", Ending.PROMOTED).advice[0]
    assert "maxRestarts" in found("crash", Ending.PROMOTED).advice[0]
    assert any("onInconclusive" in sentence for sentence in found("errors=5%", Ending.WAITS).advice)
    assert any("--time-limit" in sentence for sentence in found("crash", Ending.TIME_LIMIT).advice)


def test_the_net_holds_only_when_stable_failed_nobody() -> None:
    assert found("errors", Ending.ROLLED_BACK, failed=5).holds
    assert not found("errors", Ending.ROLLED_BACK, failed_of_stable=1).holds
    assert not found("errors", Ending.PROMOTED).holds


def test_the_report_reads_the_same_in_every_form() -> None:
    findings = [found("errors", Ending.ROLLED_BACK, sent=9, failed=2, slow=1), found("wrong-answers", Ending.PROMOTED)]
    told = pages.document(
        name="churn<1>",
        revision=3,
        request=REQUEST,
        found=findings,
        traffic={"rps": 40.0, "rate": "40rps, as asked", "inputs": "the sample", "different": 1},
        time_limit=LIMIT,
        began=BEGAN,
        ended=BEGAN + timedelta(minutes=3),
    )
    assert told["holds"] is False
    assert len(told["holes"]) == 1
    assert list(told["blind_spots"]) == ["wrong-answers"]
    assert pages.verdict(told) == "churn<1>: the net has a hole; 1 of 2 faults was not taken back."
    for text in (pages.markdown(told), pages.html(told)):
        for cell in ("errors=20%", "3 of 9 (2 failed, 1 slow)", "no: promoted", "golden requests: tidegate golden"):
            assert cell in text
    assert "churn<1>" not in pages.html(told)
