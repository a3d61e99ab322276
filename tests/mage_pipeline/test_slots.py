"""No more at once than there are slots, over processes, and a slot is free when its holder is dead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tidegate_pipeline.slots import NoSlotError, slot

HOLD = """
import sys
from pathlib import Path
from tidegate_pipeline.slots import slot
with slot(Path(sys.argv[1]), "h2o", 2, 0.0) as number:
    print(number, flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "stack" / "mage_pipeline")}
    command = [sys.executable, "-c", HOLD, str(folder)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_slot_that_is_held_is_nobody_elses_until_its_holder_is_gone(tmp_path: Path) -> None:
    holders = [hold(tmp_path), hold(tmp_path)]
    try:
        assert sorted(holder.stdout.readline().strip() for holder in holders if holder.stdout) == ["0", "1"]
        with pytest.raises(NoSlotError, match="all 2 slots of h2o are taken"), slot(tmp_path, "h2o", 2, 0.0):
            pass
        with slot(tmp_path, "another", 1, 0.0) as number:
            assert number == 0
        holders[0].send_signal(signal.SIGKILL)
        holders[0].wait()
        with slot(tmp_path, "h2o", 2, 30.0) as number:
            assert number in (0, 1)
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
