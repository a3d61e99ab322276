"""Memory that is a process's own and its processor time, of real processes with children."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.prometheus import until
from tidegate.target.usage import usage

MIB = 1 << 20
CHILD = """
import mmap, sys, time
own = bytearray(48 << 20)
with open(sys.argv[1], "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert sum(mapped[::4096]) == 0
end = time.process_time() + 0.5
while time.process_time() < end: pass
print("ready", flush=True)
time.sleep(600)
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
child.wait()
"""


@contextmanager
def running(file: Path) -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(file)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
    finally:
        subprocess.run(["kill", "--", f"-{process.pid}"], check=False)
        process.wait()


def test_children_count_and_mapped_files_do_not(tmp_path: Path) -> None:
    file = tmp_path / "mapped"
    file.write_bytes(bytes(64 * MIB))
    with running(file) as pid:
        taken = usage([pid])
        assert taken.roots == 1
        assert len(taken.processes.split()) == 2
        assert 48 * MIB <= taken.memory_bytes < 100 * MIB
        assert taken.cpu_seconds >= 0.5
        assert usage([pid]).processes == taken.processes
    until(lambda: usage([pid]).roots == 0)
    gone = usage([pid])
    assert (gone.memory_bytes, gone.cpu_seconds, gone.processes) == (0, 0.0, "")
