"""A replica notes what it answered for whoever compares revisions: on their wish, for as long as that holds."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

from tests.server.processes import ReplicaProcess, replica, wait_until
from tidegate.artifact.bundle import Bundle


def wish(run_dir: Path, share: float, seconds: float) -> None:
    beside = run_dir / "wish.new"
    beside.write_text(json.dumps({"share": share, "until": time.time() + seconds}))
    beside.replace(run_dir / "compare.json")


def noted(run_dir: Path) -> list[dict[str, Any]]:
    path = run_dir / "answers.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ask(running: ReplicaProcess, bundle: Bundle, request_id: str, *, copied: bool = True) -> dict[str, Any]:
    headers = {"x-request-id": request_id, **({"x-tidegate-copied": "1"} if copied else {})}
    answer = running.client.post("/predict", json=list(bundle.sample[:1]), headers=headers)
    assert answer.status_code == 200
    return dict(answer.json())


def test_outputs_are_noted_under_the_requests_ids_while_they_are_wanted(tmp_path: Path, quick_bundle: Bundle) -> None:
    with replica(quick_bundle.folder, tmp_path) as running:
        # Whether a request is noted is decided after its answer is on its way: one asked just before the wish may be.
        wish(tmp_path, 1.0, 60.0)

        def is_noted() -> bool:
            ask(running, quick_bundle, "of no other revision's", copied=False)
            ask(running, quick_bundle, "wanted")
            return bool(noted(tmp_path))

        wait_until(is_noted, "answers are noted")
        record = noted(tmp_path)[0]
        (prediction,) = ask(running, quick_bundle, "again")["predictions"]
        assert record["request_id"] == "wanted"
        assert record["inputs"] == {}
        name = next(iter(record["outputs"]))
        assert record["outputs"][name][0] == prediction[name]
        assert {one["request_id"] for one in noted(tmp_path)} <= {"wanted", "again"}
        assert stat.S_IMODE((tmp_path / "answers.jsonl").stat().st_mode) == 0o600
        assert running.client.get("/answers.jsonl").status_code == 404
        wish(tmp_path, 1.0, -1.0)
        after = [f"after-{number}" for number in range(3)]

        def is_over() -> bool:
            ask(running, quick_bundle, "probe")
            count = len(noted(tmp_path))
            ask(running, quick_bundle, "probe")
            time_to_write = time.monotonic() + 1.0
            while time.monotonic() < time_to_write:
                if len(noted(tmp_path)) > count + 1:
                    return False
            return len(noted(tmp_path)) == count

        wait_until(is_over, "the wish has lapsed")
        for request_id in after:
            ask(running, quick_bundle, request_id)
    assert not {record["request_id"] for record in noted(tmp_path)} & set(after)


def test_a_wish_that_cannot_be_read_is_none_and_harms_no_request(tmp_path: Path, quick_bundle: Bundle) -> None:
    (tmp_path / "compare.json").write_text("{")
    with replica(quick_bundle.folder, tmp_path) as running:
        for number in range(3):
            ask(running, quick_bundle, str(number))
    assert noted(tmp_path) == []
