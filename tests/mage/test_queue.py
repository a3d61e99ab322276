"""The queue of Mage's scheduler, as `start.py` mends it: no block waits for good, and none is taken for crashed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.docs.pages import ROOT
from tests.mage.conftest import MAGE

START = ROOT / "stack" / "mage_pipeline" / "start.py"


def work(folder: Path, what: str) -> Any:
    """Run one of `queue_work.py` in Mage's Python; return what it found."""
    script = Path(__file__).with_name("queue_work.py")
    command = [str(MAGE / "bin" / "python"), str(script), str(START), str(folder), what]
    log = folder / "log"
    with log.open("wb") as out:
        environment = {**os.environ, "MAGE_DATA_DIR": str(folder), "PYTHONPATH": ""}
        subprocess.run(
            command, stdout=out, stderr=out, env=environment, timeout=150, check=False, start_new_session=True
        )
    said = folder / "said.json"
    assert said.exists(), log.read_text(errors="replace")[-4000:]
    return json.loads(said.read_text())


def test_a_block_that_is_queued_while_the_pool_of_workers_ends_is_run(tmp_path: Path) -> None:
    assert work(tmp_path, "ending") == {"was_alive": True, "ran": True}


def test_a_block_that_is_being_taken_from_the_queue_is_not_taken_for_crashed(tmp_path: Path) -> None:
    said = work(tmp_path, "racing")
    assert said["jobs"] >= 3
    assert said["taken_for_crashed"] == []
