"""What loads a model is in the session of those who serve, to whom it stands back, and in a process group of its own.

Linux shares processors out between sessions before it looks at policies (sched(7), autogroup): a loader with a session
of its own takes half of them, however far back it stands. And Ctrl-C in a terminal goes to the foreground's process
group, which is to be the supervisor alone.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import httpx
import psutil

from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import supervised
from tests.server.test_killed_in_a_swap import HELD
from tidegate.artifact.bundle import Bundle


def test_workers_loaders_and_builders_share_the_supervisors_session_and_not_its_group(
    tmp_path: Path, quick_bundle: Bundle
) -> None:
    root, hold = tmp_path / "models", tmp_path / "hold"
    shutil.copytree(quick_bundle.folder, root / "flights" / "1")
    (root / "flights" / "2.py").write_text(HELD % str(hold))
    hold.touch()
    options = ("--repository", str(root), "--model-version", "1", "--trust")
    with supervised(tmp_path / "run", *options) as running:
        own = running.process.pid
        (worker,) = running.workers()
        url = running.client.base_url.join("/v2/repository/models/flights/load")
        loading = threading.Thread(target=httpx.post, args=(url,), kwargs={"timeout": DEADLINE_SECONDS})
        loading.start()

        def builders() -> list[psutil.Process]:
            below = [child for child in psutil.Process(own).children(recursive=True) if child.pid != worker.pid]
            return below if any("tidegate.artifact" in child.cmdline() for child in below) else []

        building: list[psutil.Process] = wait_until(builders, "the bundle is built and checked")
        assert len(building) == 2
        for process in (worker, *building):
            assert os.getsid(process.pid) == os.getsid(own)
            assert os.getpgid(process.pid) not in (os.getpgid(own), own)
            assert os.getpgid(process.pid) == process.pid
        hold.unlink()
        loading.join(DEADLINE_SECONDS)

        wait_until(lambda: running.version() == "2" and len(running.workers()) == 1, "the second version serves")
        (second,) = running.workers()
        assert second.pid != worker.pid
        assert (os.getsid(second.pid), os.getpgid(second.pid)) == (os.getsid(own), second.pid)
