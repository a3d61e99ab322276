"""A replica counts its inputs and outputs by column for whoever compares revisions, one row of each request."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.server.processes import replica, wait_until
from tidegate.artifact.bundle import Bundle
from tidegate.contract.sketch import Sketch, key_of
from tidegate.server.recording.columns import sketch_of


def wish(run_dir: Path, share: float, seconds: float = 60.0) -> None:
    beside = run_dir / "wish.new"
    beside.write_text(json.dumps({"share": share, "until": time.time() + seconds}))
    beside.replace(run_dir / "count.json")


def lines(run_dir: Path) -> list[dict[str, object]]:
    path = run_dir / "counts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_columns_are_counted_while_somebody_asks_one_row_of_each_request(tmp_path: Path, quick_bundle: Bundle) -> None:
    sample = list(quick_bundle.sample)
    with replica(quick_bundle.folder, tmp_path) as running:
        running.client.post("/predict", json=sample)
        assert lines(tmp_path) == []
        wish(tmp_path, 1.0)
        sent = 0

        def is_counted() -> bool:
            nonlocal sent
            sent += 1
            assert running.client.post("/predict", json=sample * 3).status_code == 200
            return len(lines(tmp_path)) >= 2

        wait_until(is_counted, "columns are counted")
        found = lines(tmp_path)
        assert sum(int(str(line["requests"])) for line in found) <= sent
        for line in found:
            for part in ("inputs", "outputs"):
                columns = line[part]
                assert isinstance(columns, dict)
                assert columns
                assert all(Sketch.from_plain(plain).total == line["requests"] for plain in columns.values())
        inputs = found[0]["inputs"]
        assert isinstance(inputs, dict)
        assert set(inputs) == {spec.name for spec in quick_bundle.signature.inputs}
        assert stat.S_IMODE((tmp_path / "counts.jsonl").stat().st_mode) == 0o600
        assert running.client.get("/counts.jsonl").status_code == 404


@given(st.lists(st.one_of(st.floats(), st.none(), st.text(max_size=5), st.booleans()), max_size=50))
def test_values_are_counted_as_the_sketch_says(values: list[object]) -> None:
    found = sketch_of(values)
    assert found.total == len(values)
    numbers = [value for value in values if isinstance(value, float) and not np.isnan(value)]
    if len({key_of(number) for number in numbers}) <= 200:
        assert found.numbers == {key: [key_of(n) for n in numbers].count(key) for key in map(key_of, numbers)}
