"""Several processes write one prediction log: whole lines, each once, whoever turns the file over and whoever dies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.processes import DEADLINE_SECONDS, wait_until
from tests.server.supervisors import Kept, kept_by, supervised
from tidegate.artifact.bundle import Bundle
from tidegate.server.recording.shared_file import SharedFile

WRITER = """
import json, sys
from pathlib import Path
from tidegate.server.recording.shared_file import SharedFile

name, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
file = SharedFile(path, 4000, 10_000)
for number in range(0, count, 5):
    file.append([json.dumps([name, n, "x" * (n % 150)]).encode() for n in range(number, min(number + 5, count))])
    print(number, flush=True)
file.close()
"""


def writer(name: str, path: Path, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, name, str(path), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)


def lines_of(folder: Path) -> list[Any]:
    """Return all records of all files; a line that is torn fails to parse."""
    texts = [file.read_text() for file in folder.iterdir()]
    assert all(text.endswith("\n") for text in texts)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_lines_of_four_processes_that_turn_the_file_over_are_whole_and_there_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    writers = [writer(str(index), path, 1000) for index in range(4)]
    for process in writers:
        process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
    written = Counter((name, number) for name, number, _ in lines_of(tmp_path))
    assert written == Counter((str(index), number) for index in range(4) for number in range(1000))
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) > 50
    assert max(sizes) <= 4000


def test_a_writer_that_is_killed_costs_no_line_of_the_others_and_none_that_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    victim, others = writer("victim", path, 10**6), [writer(str(index), path, 600) for index in range(2)]
    assert victim.stdout is not None
    said = [int(victim.stdout.readline()) for _ in range(100)]
    victim.kill()
    for process in others:
        process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 0
    victim.communicate(timeout=DEADLINE_SECONDS)
    # The next who writes takes off what the killed one may have left half.
    last = SharedFile(path, 4000, 10_000)
    last.append([b'["last", 0, ""]'])
    last.close()
    written = Counter((name, number) for name, number, _ in lines_of(tmp_path))
    assert set(written.values()) == {1}
    assert {("victim", number) for number in range(said[-1] + 5)} <= set(written)
    assert {(str(index), number) for index in range(2) for number in range(600)} <= set(written)


@pytest.mark.parametrize("whole", [b"", b'{"a": 1}\n', b"x" * 100_000 + b"\n"])
@pytest.mark.parametrize("torn", [b'{"b', b"y" * 200_000])
def test_half_a_line_that_a_killed_process_left_is_taken_off(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(whole + torn)
    file = SharedFile(path, 10**6, 2)
    file.append([b"{}"])
    file.close()
    assert path.read_bytes() == whole + b"{}\n"


@given(
    batches=st.lists(st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=6), max_size=8)
)
def test_files_stay_below_their_size_and_the_newest_lines_are_kept_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: Sequence[Sequence[bytes]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    file = SharedFile(path, 100, 3)
    for batch in batches:
        file.append(batch)
    file.close()
    files = [path.with_name(f"log.jsonl.{age}") for age in (2, 1)] + [path]
    there = [one for one in files if one.exists()]
    assert {*path.parent.iterdir()} == {*there}
    assert all(one.stat().st_size <= 100 for one in there)
    kept = b"".join(one.read_bytes() for one in there)
    everything = b"".join(line + b"\n" for batch in batches for line in batch)
    assert everything.endswith(kept)
    if len(there) < 3:
        assert kept == everything


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    script = """
import resource, signal, sys
from pathlib import Path
from tidegate.server.recording.shared_file import SharedFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = SharedFile(Path(sys.argv[1]), 10**6, 2)
file.append([b"whole"])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    file.append([b"x" * 60, b"y" * 60])
except OSError as error:
    print(error.errno)
file.append([b"fits"])
"""
    said = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, check=True, text=True)
    assert said.stdout.strip(), "the limit of the file's size was an error"
    assert path.read_bytes() == b"whole\nfits\n"


def test_workers_that_log_to_one_file_and_turn_it_over_lose_no_record(
    quick_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The built-in file is turned over at 64 MiB. A sink of its own, found as any other, has small files and keeps all.
    plugin = tmp_path / "plugin"
    (plugin / "small_files-1.dist-info").mkdir(parents=True)
    (plugin / "small_files.py").write_text(
        "from tidegate.server.recording.sinks import JsonlSink\n\n\n"
        "def small(path):\n    return JsonlSink(path, file_bytes=8_000, files=10_000)\n"
    )
    (plugin / "small_files-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: small-files\nVersion: 1\n"
    )
    (plugin / "small_files-1.dist-info" / "entry_points.txt").write_text(
        "[tidegate.prediction_sinks]\nsmall = small_files:small\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugin), os.environ.get("PYTHONPATH", "")]))
    repository, logs = tmp_path / "models", tmp_path / "logs"
    shutil.copytree(quick_bundle.folder, repository / "flights" / "1")
    options = ("--repository", str(repository), "--workers", "2")
    body, answered = list(quick_bundle.sample), set[str]()

    def ask(kept: Kept, name: str, count: int) -> None:
        for number in range(count):
            request_id = f"{name}-{number}"
            assert kept.ask("/predict", body, {"x-request-id": request_id})[0] == 200
            answered.add(request_id)

    with supervised(tmp_path / "run", *options, "--", "--prediction-log", f"small:{logs / 'log.jsonl'}") as running:
        workers, url = running.workers(), running.client.base_url
        with ExitStack() as stack, ThreadPoolExecutor(4) as clients:
            kept = [stack.enter_context(kept_by(worker, url)) for worker in workers for _ in range(2)]
            asking = [clients.submit(ask, one, str(index), 250) for index, one in enumerate(kept)]
            # In the middle, two more processes come to write, and the first two write their last and end.
            wait_until(lambda: len(answered) > 100, "all write")
            shutil.copytree(quick_bundle.folder, repository / "flights" / "2")
            assert running.load().status_code == 200
            for future in asking:
                future.result(DEADLINE_SECONDS)
        assert running.stop() == 0
    records = lines_of(logs)
    assert Counter(record["request_id"] for record in records) == Counter(dict.fromkeys(answered, 1))
    assert len(answered) == 1000
    assert {record["model_version"] for record in records} <= {"1", "2"}
    assert len(list(logs.iterdir())) > 20
