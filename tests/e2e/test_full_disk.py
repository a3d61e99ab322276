"""A disk without a free byte: users notice nothing, nothing is decided, and all goes on when there is room again."""

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
    split = tidegate.status(NAME)["split_asked"]

    disk.fill()
    trouble = eventually("a word of it", lambda: tidegate.status(NAME)["trouble"])
    assert "the split stays as it is" in trouble
    said = [finding for finding in examine(tidegate.home) if finding.check == f"deployment {NAME}"]
    assert [(finding.level, finding.detail) for finding in said] == [(Level.FAIL, trouble)]
    with pytest.raises(Unavailable, match="database or disk is full"), tidegate.client as client:
        client.abort(NAME, by="ada", reason="")
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
