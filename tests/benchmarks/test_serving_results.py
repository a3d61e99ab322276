"""What the serving benchmark makes of its measurements: quantiles, goals and profiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.serving.goals import judged
from benchmarks.serving.measure import summary
from benchmarks.serving.peers import SERVERS
from benchmarks.serving.profile import added_up


def row(server: str, stage: str, rows: int, rate: float, p99_ms: float | None = 1.0, **more: Any) -> dict[str, Any]:
    form = "oip" if server in ("tidegate", "mlserver", "kserve") else "records"
    known = {"server": server, "model": "xgboost", "stage": stage, "rows": rows, "form": form}
    return {**known, "requests_per_second": rate, "p50_ms": 10.0, "p99_ms": p99_ms, **more}


def found(*table: dict[str, Any], about: str) -> tuple[bool | None, str]:
    (goal,) = [goal for goal in judged(table, {"xgboost": 8.0}) if about in goal.wanted]
    return goal.met, goal.found


def test_a_quantile_that_rests_on_no_request_is_unknown() -> None:
    assert summary(np.arange(99.0))["p99_ms"] is None
    known = summary(np.arange(1000.0))
    assert known == {"p50_ms": 499.5, "p99_ms": pytest.approx(989.01), "p999_ms": pytest.approx(998.001)}


def test_tidegate_is_compared_with_the_fastest_setting_of_a_peer_in_the_form_that_it_speaks() -> None:
    table = (
        row("tidegate", "most", 1, 10_000),
        row("tidegate-json", "most", 1, 20_000),
        row("mlserver", "most", 1, 500),
        row("mlserver-worker", "most", 1, 1001),
        row("mlserver-worker", "most", 100, 9_000),
        row("bentoml", "most", 1, 1000),
    )
    assert found(*table, about="mlserver") == (False, "10.0 times (10,000 against 1,001)")
    assert found(*table, about="bentoml") == (True, "20.0 times (20,000 against 1,000)")


def test_the_slower_of_tidegates_forms_must_beat_the_best_peer_at_equal_load() -> None:
    table = [row("tidegate", "equal", 1, 80, 2.0), row("tidegate-json", "equal", 1, 80, 3.0)]
    assert found(*table, row("kserve", "equal", 1, 80, 3.5), about="1 row, equal")[0] is True
    assert found(*table, row("kserve", "equal", 1, 80, 2.5), about="1 row, equal")[0] is False
    assert found(*table, row("kserve", "equal", 1, 80, None), about="1 row, equal")[0] is None


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    goals = judged([row("tidegate", "most", 1, 10_000)], {})
    assert {goal.met for goal in goals} == {None}
    assert judged([row("mlserver", "most", 1, 10_000)], {}) == []


def test_the_ceiling_and_large_requests_are_judged_by_their_shares() -> None:
    table = (
        row("tidegate", "most", 1, 8_000),
        row("tidegate", "ceiling", 1, 10_000),
        row("tidegate-json", "most", 1, 7_900),
        row("tidegate-json", "ceiling", 1, 10_000),
        row("tidegate", "one-by-one", 10_000, 100),
    )
    assert found(*table, about="rows, tidegate:") == (True, "80% of 10,000 requests/s")
    assert found(*table, about="rows, tidegate-json:") == (False, "79% of 10,000 requests/s")
    assert found(*table, about="10,000 rows") == (True, "oip 1.25 times 8.0 ms")


def test_a_profile_counts_each_function_once_per_stack_and_names_no_folder() -> None:
    profile = added_up("main (/a/b/app.py:3);work (/a/b/app.py:9);work (/a/b/app.py:8) 3\nmain (/a/b/app.py:3) 1\n")
    assert profile.samples == 4
    assert profile.own == {"work (app.py)": 75.0, "main (app.py)": 25.0}
    assert profile.below == {"main (app.py)": 100.0, "work (app.py)": 75.0}


def test_waiting_is_not_counted_as_work_and_nameless_frames_count_for_their_caller() -> None:
    waits = "main (/a/app.py:3);run (/a/loop.c:1);epoll_pwait (libc.so.6) 90\n"
    locked = "get (/a/queue.c:2);PyThread_acquire_lock_timed (lib.so);0x7f (libc.so.6);0x7f (libc.so.6) 60\n"
    works = "main (/a/app.py:3);Py_DECREF (object.h:1);write (/a/app.py:4);0x7f11 (libc.so.6) 5\n"
    profile = added_up(waits + locked + works)
    assert (profile.samples, profile.waiting) == (5, 150)
    assert profile.own == {"write (app.py)": 100.0}


def test_every_server_says_where_its_settings_come_from_and_pins_what_it_runs_on() -> None:
    for server in SERVERS.values():
        assert server.sources
        assert server.settings.endswith(".")
        assert server.compared_with in SERVERS


def test_requirements_of_peers_are_names_and_versions_and_nothing_else() -> None:
    from benchmarks.serving.servers import PEERS

    lists = [PEERS / peer / "requirements.txt" for peer in {server.peer for server in SERVERS.values()} if peer]
    assert len(lists) == 6
    for path in lists:
        for line in path.read_text().splitlines():
            name, separator, version = line.partition("==")
            assert separator, line
            assert name.replace("-", "").replace("_", "").replace(".", "").isalnum(), line
            assert version.replace(".", "").isalnum(), line
