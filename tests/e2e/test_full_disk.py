"""A disk without a free byte: users notice nothing, and what does no harm waits for room; taking back does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos.disk import Disk, mounted
from tests.e2e.conftest import Tidegate, eventually
from tidegate.cli.doctor import Level, examine
from tidegate.contract.errors import Unavailable
from tidegate.controller import launch

pytestmark = pytest.mark.e2e

NAME = "arrivals"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Tidegate, Disk]]:
    """A Tidegate whose home is a disk of its own, and that disk."""
    home = tmp_path / "home"
    try:
        place = mounted(home)
        disk = place.__enter__()
    except RuntimeError as error:
        pytest.skip(f"only root may mount a disk to fill: {error}")
    running = Tidegate(home, tmp_path)
    try:
        launch.ensure_running(home, 0, 0)
        yield running, disk
    finally:
        disk.free()
        launch.stop(home)
        place.__exit__(None, None, None)


def test_a_rollout_waits_for_room_and_then_ends_as_it_should(
    small: tuple[Tidegate, Disk], good_model: Path, better_model: Path
) -> None:
    tidegate, disk = small
    assert tidegate.ended(tidegate.deploy(NAME, good_model))["outcome"] == "promoted"
    traffic = tidegate.traffic(NAME)
    rollout = tidegate.deploy(NAME, better_model)
    tidegate.in_phase(NAME, "analyzing")

    disk.fill()
    trouble = eventually("a word of it", lambda: tidegate.status(NAME)["trouble"])
    # Only now: on a busy machine the rollout may have gone a step further before the disk was full.
    split = tidegate.status(NAME)["split_asked"]
    assert "the split stays as it is" in trouble
    said = [finding for finding in examine(tidegate.home) if finding.check == f"deployment {NAME}"]
    assert [(finding.level, finding.reason) for finding in said] == [(Level.FAIL, trouble)]
    with pytest.raises(Unavailable, match="database or disk is full"), tidegate.client as client:
        client.promote(NAME, by="ada", reason="")
    asked = len(traffic.records())
    eventually("answers all the while", lambda: len(traffic.records()) > asked + 60)
    assert tidegate.status(NAME)["split_asked"] == split
    snapshot = json.loads((tidegate.home / "gateway" / "snapshot.json").read_text())
    assert snapshot["splits"][NAME] == split

    tidegate.controller().kill()
    eventually("no controller", lambda: launch.running(tidegate.home) is None)
    with pytest.raises(Unavailable, match="no room is left on the disk"):
        tidegate.start()

    disk.free()
    tidegate.start()
    assert tidegate.ended(rollout)["outcome"] == "promoted"
    assert tidegate.status(NAME)["trouble"] is None
    assert [record for record in traffic.stop() if record.failed] == []


TURNS_BAD = """
from pathlib import Path
class Model:
    inputs = [{'name': 'size'}]
    def load(self, folder): pass
    def predict(self, inputs):
        if Path(%r).exists():
            raise ValueError('harm')
        return {'price': inputs['size'] * %d}
"""


def write(folder: Path, factor: int, onset: Path) -> Path:
    folder.mkdir()
    (folder / "model.py").write_text(TURNS_BAD % (str(onset), factor))
    return folder


@pytest.fixture
def on_trial(small: tuple[Tidegate, Disk], tmp_path: Path) -> tuple[str, Path]:
    """A rollout whose candidate gets half of the requests until somebody decides, and what makes it do harm."""
    tidegate, _ = small
    steps = [{"weight": 50}, {"pause": "person"}, 100]
    onset = tmp_path / "onset"
    for number in (1, 2):
        model = write(tmp_path / f"model-{number}", number, onset if number == 2 else tmp_path / "never")
        artifact = {"path": str(model), "trust": True}
        rollout = tidegate.deploy(NAME, model, modelArtifact=artifact, steps=steps)
        if number == 1:
            tidegate.ended(rollout)
    return rollout, onset


@pytest.mark.long
def test_a_candidate_that_turns_bad_is_taken_back_without_room(
    small: tuple[Tidegate, Disk], on_trial: tuple[str, Path]
) -> None:
    tidegate, disk = small
    rollout, onset = on_trial
    traffic = tidegate.traffic(NAME, documents=[[{"size": 40}]])
    eventually("it waits for a person", lambda: tidegate.status(NAME)["phase"] == "paused")
    eventually("room is kept", (tidegate.home / "reserve").exists)
    disk.fill()
    onset.touch()
    eventually("stable has all", lambda: tidegate.status(NAME)["split_asked"] == {"1": 100})
    # It is asked for once it is decided, and in force a moment later.
    eventually("answers of stable alone", lambda: {record.revision for record in traffic.records()[-40:]} == {1})
    asked = len(traffic.records())
    eventually("answers", lambda: len(traffic.records()) > asked + 40)
    assert {(record.revision, record.failed) for record in traffic.records()[asked:]} == {(1, False)}
    assert not (tidegate.home / "reserve").exists()
    disk.free()
    assert tidegate.ended(rollout)["outcome"] == "rolled_back"
    eventually("room is kept again", (tidegate.home / "reserve").exists)


@pytest.mark.long
def test_a_person_takes_a_candidate_back_without_room(small: tuple[Tidegate, Disk], on_trial: tuple[str, Path]) -> None:
    tidegate, disk = small
    rollout, _ = on_trial
    tidegate.traffic(NAME, documents=[[{"size": 40}]])
    eventually("it waits for a person", lambda: tidegate.status(NAME)["phase"] == "paused")
    eventually("room is kept", (tidegate.home / "reserve").exists)
    disk.fill()
    with tidegate.client as client:
        client.abort(NAME, by="ada", reason="to be sure")
    eventually("stable has all", lambda: tidegate.status(NAME)["split_asked"] == {"1": 100})
    disk.free()
    assert tidegate.ended(rollout)["outcome"] == "aborted"
