"""The judge's benchmark on a small scale: the rules that it compares, the bound, and what it writes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.judge import everything, promises
from benchmarks.judge.__main__ import merged
from benchmarks.judge.contest import CONTENDERS, DEFAULT
from benchmarks.judge.rules import failed_checks, judged
from benchmarks.judge.traffic import SCENARIOS, Traffic, at_rate, simulate
from tidegate.judge import Tally, assess, begin, begin_step, observe


def test_the_bound_is_that_of_the_design_and_falls_with_traffic():
    """1 % to 3 % with a tenth of the traffic, by hand: log(100) over KL of both to the pooled 1.2 %."""
    seconds = promises.bound(50.0, 0.1, 0.01, 0.03, 0.01)
    assert seconds * 5.0 == pytest.approx(409, rel=0.01)
    assert promises.bound(500.0, 0.1, 0.01, 0.03, 0.01) == pytest.approx(seconds / 10.0)


def test_the_judge_of_many_is_compared_as_the_judge_of_one_would_be():
    traffic = simulate(SCENARIOS[2], 12, seed=3).every(10)
    found = judged(DEFAULT, Tally(3_000, 30))(traffic)
    for run in range(traffic.runs):
        evidence = begin_step(DEFAULT, begin(DEFAULT, {"errors": Tally(3_000, 30)}))
        columns = (traffic.candidate, traffic.candidate_bad, traffic.stable, traffic.stable_bad)
        for look in range(int(found[run]) + 1):
            n1, y1, n0, y0 = (int(counts[run, look]) for counts in columns)
            evidence = observe(DEFAULT, evidence, {"errors": Tally(n1, y1)}, {"errors": Tally(n0, y0)})
            assert (assess(DEFAULT, evidence).outcome == "fail") == (look == found[run])


def test_failed_checks_are_counted_per_interval():
    bad = np.zeros((2, 600), dtype=np.int64)
    bad[0, [10, 70, 130]] = 5
    requests = np.full((2, 600), 1, dtype=np.int64)
    traffic = Traffic(requests * 5, bad, requests, bad * 0)
    assert failed_checks(0.01, 3)(traffic).tolist() == [179, -1]
    assert failed_checks(0.01, 1)(traffic).tolist() == [59, -1]
    assert failed_checks(0.01, 4)(traffic).tolist() == [-1, -1]


def test_scenarios_at_a_rate_are_a_healthy_candidate_and_three_worse_ones():
    healthy, *worse = at_rate(10.0)
    assert not healthy.harmful
    assert [scenario.candidate for scenario in worse] == pytest.approx([0.02, 0.05, 0.1])


def test_rules_that_were_tried_anew_take_their_place_among_the_others():
    names = [contender.name for contender in CONTENDERS]

    def rows(chosen: list[str], runs: int) -> list[dict[str, object]]:
        return [{"rule": name, "runs": runs} for name in chosen]

    old = [*names[:1], "a rule that is no more", *names[3:]]
    before = {"seconds": 5.0, "rules": rows(old, 1), "at_rates": {"1": rows(old, 1)}}
    found = merged(before, {"rules": rows(names[2:4], 2), "at_rates": {"1": rows(names[2:4], 2)}})
    for place in (found["rules"], found["at_rates"]["1"]):
        assert [row["rule"] for row in place] == [names[0], *names[2:]]
        assert [row["runs"] for row in place][:4] == [1, 2, 2, 1]
    assert found["seconds"] == 5.0


JUDGED = (*everything.POLICY.signals, *everything.POLICY.shifts)


def test_alpha_is_divided_among_everything():
    assert sum(map(everything.POLICY.alpha_of, JUDGED)) == pytest.approx(everything.POLICY.alpha)
    assert len(JUDGED) == 7


@pytest.mark.parametrize("name", [held.name for held in JUDGED])
def test_harm_in_any_signal_would_be_seen_beside_everything(name: str):
    found = everything.Everything(20.0, runs=2, harm_in=name).measure()
    assert found["false_rollbacks"] == 2
    assert found["of_predictions"] == (2 if name == "predictions" else 0)


def test_healthy_candidates_are_seldom_taken_back_by_everything():
    """Alpha is 1 %: more than one of six has probability 0.2 %, and the seed is fixed."""
    assert everything.Everything(5.0, runs=6).measure()["false_rollbacks"] <= 1


def test_parts_of_everything_are_added_up_by_rate():
    def part(rate: float, bad: int) -> dict[str, object]:
        told = {"signals": everything.NAME, "requests_per_second": rate, "runs": 50}
        return {**told, "false_rollbacks": bad, "of_predictions": 1}

    slow, fast = everything.together([part(1.0, 0), part(1.0, 1), part(10.0, 2)])
    assert (slow["runs"], slow["false_rollbacks"], slow["of_predictions"], slow["rate"]) == (100, 1, 2, 0.01)
    assert (fast["runs"], fast["rate"]) == (50, 0.04)


def test_cells_without_a_median_are_told_from_those_with_one():
    def cell(between, simulated, off_by):
        return {"foretold_between": between, "simulated_seconds": simulated, "off_by": off_by}

    cells = [cell(None, 10.0, 0.1), cell(None, 10.0, 0.3), cell((5.0, None), None, None), cell((5.0, 20.0), 3.0, None)]
    told = promises._medians([{"cells": cells[:3]}, {"cells": cells[3:]}])
    assert "Of 4 cells 2 have a median foretold, 1 of them within 20 %" in told
    assert "2 have no median but two times; 1 of these" in told
    assert "no median" not in promises._medians([{"cells": cells[:2]}])


def test_a_small_run_keeps_the_promises_about_and_makes_a_page():
    healthy = promises.Healthy("errors", 10.0, runs=40).measure()
    assert healthy["rate"] <= 0.05
    worse = promises.Worse("errors", 10.0, 10.0, runs=40).measure()
    assert 0.7 < worse["over_bound"] < 2.5
    foretold = promises.Foretold((promises.Stage(0.25, 300.0),), 50.0, 0.02, runs=60).measure()
    assert len(foretold["cells"]) >= 4
    assert all(abs(cell["off_by"]) < 0.6 for cell in foretold["cells"])
    rows = [{**healthy, "signals": signals} for signals in promises.POLICIES]
    cells = [{**worse, "signals": signals} for signals in promises.POLICIES]
    page = promises.as_markdown(
        {
            "command": "a test",
            "machine": {"cpus": 2, "system": "Linux", "python": "3", "numpy": "2"},
            "seconds": 1.0,
            "healthy": rows,
            "worse": cells,
            "elsewhere": [promises.Worse("all signals", 10.0, 10.0, 40, share=0.5, rate=0.05).measure()],
            "foretold": [foretold],
        }
    )
    assert "| errors |" in page
    assert "| 5 % | 50 % |" in page
    assert "of " in page
