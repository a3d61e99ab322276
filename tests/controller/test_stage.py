"""The stage of a rehearsal: for one at a time, and free again as soon as its holder is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.contract.errors import Conflict
from tidegate.controller import launch
from tidegate.controller.home import Home
from tidegate.controller.stage import Stage
from tidegate.gateway.base import RevisionRef
from tidegate.target.base import RevisionSpec
from tidegate.target.process import server_command, with_faults


def test_a_stage_is_for_one_at_a_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "rehearsal")
    assert not stage.is_held()
    with stage.hold():
        assert stage.is_held()
        with pytest.raises(Conflict, match="another rehearsal"), Stage(stage.root).hold():
            pass
        assert stage.is_held()
    assert not stage.is_held()


def test_a_stage_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "rehearsal")
    program = (
        "import pathlib, sys, time\nfrom tidegate.controller.stage import Stage\n"
        "with Stage(pathlib.Path(sys.argv[1])).hold():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(stage.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert stage.is_held()
        holder.kill()
        holder.wait(10)
    assert not stage.is_held()


def test_what_was_left_is_told_and_removed(tmp_path: Path) -> None:
    stage = Stage(Home(tmp_path).rehearsal)
    stage.set_faults({2: "crash=20"})
    assert launch.left_on_stage(tmp_path)
    with stage.hold():
        assert not launch.left_on_stage(tmp_path)
    assert launch.stop(tmp_path) == []
    assert not stage.home.exists()
    assert not launch.left_on_stage(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_of_a_replica_has_the_fault_of_its_revision_alone(tmp_path: Path, workers: int) -> None:
    stage = Stage(tmp_path)
    stage.set_faults({2: "errors=20%"})
    assert json.loads(stage.faults_file.read_text()) == {"2": "errors=20%"}
    command = with_faults(server_command, stage.faults_file)

    def words(revision: int) -> list[str]:
        spec = RevisionSpec(RevisionRef("churn", revision), Path("b"), "churn", "1", 50.0, 1, workers=workers)
        return command(spec, 0, tmp_path)

    assert "--fault" not in words(1)
    assert words(2)[-2:] == ["--fault", "errors=20%"]
    stage.set_faults({3: "crash=20"})
    assert "--fault" not in words(2)
