"""What the benchmark of drift makes of its measurements, on small data."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift import agree, alarms
from benchmarks.drift.contenders import numpy, tidegate
from benchmarks.drift.data import FEATURES, NAMES, path, read, written
from benchmarks.drift.goals import judged
from benchmarks.drift.measure import Limits, measured
from benchmarks.drift.page import as_markdown, months_table

ROWS = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("drift"), ROWS, len(FEATURES))


def size(*, ours: float = 1.0, theirs: float = 20.0, difference: float = 1e-12, **failed: str) -> dict[str, Any]:
    def took(seconds: float) -> dict[str, float]:
        return {"seconds": seconds, "cpu": seconds, "data": 2**30, "peak": 2**31, "rounds": 1}

    contenders: dict[str, Any] = {"tidegate": took(ours), "numpy": took(5.0), "evidently": took(theirs)}
    contenders |= {name: {"failed": why} for name, why in failed.items()}
    group = {"features": ["a"], "difference": difference}
    return {
        "features": 30,
        "contenders": contenders,
        "agree": {
            "numpy": {"psi": 0.0, "ks": 0.0},
            "evidently": {"ks": group, "same": group, "formula": group, "empty": {**group, "difference": 0.3}},
        },
    }


def counted(number: int) -> dict[str, Any]:
    counts = {str(rows): {name: number for name, _, _ in alarms.RULES} for rows in alarms.WINDOWS}
    return {"flights": {"windows": 1_000, "columns": 16, "reference": 5_000, "counts": counts}}


MONTHS = {
    "rows": 10,
    "months": {
        "2": {"rows": 9, "columns": {"temp": {"state": "large", "psi": 0.4, "chance": 0.0}}},
        "3": {"rows": 9, "columns": {"temp": {"state": "none", "psi": 0.04, "chance": 0.0}}},
    },
}


def run(speed: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    about = {
        "command": "c", "at": "t", "seconds": 1.0, "revision": "r", "numpy": "1",
        "machine": {"cpus": 2, "cpu_model": "m", "memory_gib": 1, "system": "s", "python": "p"},
        "load_average": {"before": [0], "after": [0]},
    }  # fmt: skip
    return {
        "speed": {"10,000,000 × 30": {"about": about, "versions": {"evidently": "2"}, **speed}},
        "alarms": {"about": about, "data": data},
        "months": {"about": about, **MONTHS},
    }


def test_the_data_is_the_same_whenever_it_is_drawn(folder: Path, tmp_path: Path) -> None:
    again = written(tmp_path, ROWS, 6)
    assert NAMES[:6] == tuple(read(folder, "current", 6))
    for name in NAMES[:6]:
        for side in ("reference", "current"):
            assert path(folder, side, name).read_bytes() == path(again, side, name).read_bytes()


def test_tidegate_and_numpy_alone_say_the_same(folder: Path) -> None:
    columns = read(folder, "reference", len(FEATURES)), read(folder, "current", len(FEATURES))
    differences = agree.with_numpy(tidegate(*columns), numpy(*columns))
    assert max(differences.values()) < 1e-12


def test_where_evidently_counts_in_the_same_bins_its_values_are_to_be_equal(folder: Path) -> None:
    from scipy import stats

    columns = read(folder, "reference", len(FEATURES)), read(folder, "current", len(FEATURES))
    ours, theirs = tidegate(*columns), {}
    for name in NAMES:
        before, now = (side[name][~np.isnan(side[name])] for side in columns)
        edges = np.histogram_bin_edges(np.concatenate([before, now]), "sturges")
        shares = [np.histogram(side, edges)[0] / len(side) for side in (before, now)]
        with np.errstate(divide="ignore", invalid="ignore"):
            index = np.nansum((shares[0] - shares[1]) * np.log(shares[0] / shares[1]))
        theirs[name] = {
            "psi": ours[name]["psi"] if name.startswith("count") else float(index),
            "chance": float(stats.ks_2samp(before, now).pvalue),
        }
    found = agree.with_evidently(ours, theirs, folder)
    assert found["same"]["features"] == [name for name in NAMES if name.startswith("count")]
    assert len(found["ks"]["features"]) == len(NAMES)
    assert {*found["formula"]["features"], *found["empty"]["features"], *found["same"]["features"]} == set(NAMES)
    assert max(found[group]["difference"] for group in ("ks", "same", "formula")) < 1e-9


def test_a_contender_runs_by_itself_and_one_that_takes_too_much_is_told(folder: Path, tmp_path: Path) -> None:
    ours = {"tidegate": Path(sys.executable)}
    done = measured(ours, folder, 2, 1, Limits(60, 8 << 30))["tidegate"]
    assert done["seconds"] > 0
    assert done["peak"] > done["data"] > 0
    assert set(done["values"]) == set(NAMES[:2])
    assert "failed" in measured(ours, folder, 2, 1, Limits(60, 1 << 20))["tidegate"]
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nwhile :; do :; done\n")
    endless.chmod(0o700)
    told = measured({"evidently": endless}, folder, 2, 1, Limits(1, 8 << 30))["evidently"]
    assert told == {"failed": "more than 1 CPU seconds"}


def test_goals_are_met_or_say_what_missed() -> None:
    assert [goal.missed for goal in judged(run(size(), counted(10)))] == ["", "", ""]
    slow, unequal, alarming = judged(run(size(theirs=9.0, difference=1e-3), counted(60)))
    assert slow.missed == "9.0 at 10,000,000 × 30"
    assert "Evidently's KS: 1.0e-03" in unequal.missed
    assert "flights, 50 rows, as it comes: 60" in alarming.missed
    missing = judged(run(size(evidently="more than 14 GiB"), {}))
    assert [goal.missed for goal in missing] == ["not measured", "", "not measured"]
    assert [goal.missed for goal in judged({})] == ["not measured"] * 3


def test_windows_without_drift_are_counted_by_rule() -> None:
    found = alarms.counted(alarms.simulated(), 3, alarms.SMALL_REFERENCE)
    assert set(found) == {"50", "200", "1000", "5000"}
    assert found["50"]["as it comes"] == 0
    # Few rows have large indexes by chance: why nobody should ask for the index alone.
    assert found["50"]["a PSI of 0.1 alone"] == 3
    assert alarms.interval(0, 1_000)[1] == pytest.approx(0.0037, abs=1e-4)


def test_the_page_tells_all_of_it() -> None:
    found = run(size(**{"evidently-tests": "more than 900 CPU seconds"}), counted(10))
    text = as_markdown({**found, "goals": [asdict(goal) for goal in judged(found)]})
    assert "| 20.00 | 20.0× | 20.00 | 2.00 | 1.00 | 1 |" in text
    assert "Evidently's two tests by themselves, without the report | more than 900 CPU seconds" in text
    assert "10 of 1,000: 1.0 % (0.5 to 1.8)" in text
    assert months_table(MONTHS)[-1] == "| temp | **0.40** | 0.04 |"
    assert "to which this adds 1" in text
    assert "Time and memory" not in as_markdown({"goals": [], "months": found["months"]})
