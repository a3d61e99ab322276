"""Notes of a replica are read once each, also when the file is turned over."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.target import notes
from tidegate.target.base import Noted


def line(number: int) -> bytes:
    return json.dumps({"request_id": str(number), "outputs": {"y": [number]}, "rows": 1}).encode() + b"\n"


def write(folder: Path, *numbers: int) -> None:
    with (folder / "answers.jsonl").open("ab") as stream:
        stream.write(b"".join(map(line, numbers)))


def reader_of(folder: Path) -> notes.LinesReader[Noted]:
    return notes.LinesReader(folder / "answers.jsonl", notes.noted)


def read(reader: notes.LinesReader[Noted]) -> list[str]:
    return [noted.request_id for noted in reader.read()]


def test_each_line_is_read_once_and_half_a_line_when_it_is_whole(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    assert read(reader) == []
    write(tmp_path, 1, 2)
    assert read(reader) == ["1", "2"]
    whole = line(3)
    with (tmp_path / "answers.jsonl").open("ab") as stream:
        stream.write(whole[:10])
        stream.flush()
        assert read(reader) == []
        stream.write(whole[10:])
    assert read(reader) == ["3"]
    assert read(reader) == []


def test_what_a_file_that_was_turned_over_held_last_is_read_too(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    write(tmp_path, 1)
    assert read(reader) == ["1"]
    write(tmp_path, 2)
    (tmp_path / "answers.jsonl").rename(tmp_path / "answers.jsonl.1")
    write(tmp_path, 3)
    assert read(reader) == ["2", "3"]


def test_a_new_reader_begins_at_the_end(tmp_path: Path) -> None:
    write(tmp_path, 1)
    reader = reader_of(tmp_path)
    write(tmp_path, 2)
    assert read(reader) == ["2"]


def test_lines_that_are_no_notes_are_passed_over(tmp_path: Path) -> None:
    reader = reader_of(tmp_path)
    (tmp_path / "answers.jsonl").write_bytes(b"no json\n{}\n" + line(7))
    assert read(reader) == ["7"]


def test_a_wish_is_written_again_only_when_it_is_another_one_or_about_to_lapse(tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    notes.ask(tmp_path, notes.ANSWERS, 1.0, until=110.0, now=100.0)
    first = file.stat().st_ino
    notes.ask(tmp_path, notes.ANSWERS, 1.0, until=112.0, now=102.0)
    assert json.loads(file.read_bytes()) == {"share": 1.0, "until": 110.0}
    assert file.stat().st_ino == first
    notes.ask(tmp_path, notes.ANSWERS, 1.0, until=116.0, now=106.0)
    assert json.loads(file.read_bytes())["until"] == 116.0
    notes.ask(tmp_path, notes.ANSWERS, 0.5, until=116.0, now=106.0)
    assert json.loads(file.read_bytes())["share"] == 0.5


def test_a_wish_from_before_the_clock_was_set_back_is_written_anew(tmp_path: Path) -> None:
    """Else a replica would go on noting for as long as the clock was set back, when nobody asks any more."""
    notes.ask(tmp_path, notes.ANSWERS, 0.5, until=5010.0, now=5000.0)
    notes.ask(tmp_path, notes.ANSWERS, 0.5, until=1410.0, now=1400.0)
    assert json.loads((tmp_path / "compare.json").read_text()) == {"share": 0.5, "until": 1410.0}


def counts(requests: int) -> bytes:
    return json.dumps({"requests": requests, "inputs": {}, "outputs": {}}).encode() + b"\n"


def test_each_who_watches_gets_every_count_of_all_replicas(tmp_path: Path) -> None:
    folders = [tmp_path / "0", tmp_path / "1"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / notes.COUNTS_NAME).write_bytes(counts(1))
    first, second = (notes.FoldersReader(lambda: folders) for _ in range(2))
    for number, folder in enumerate(folders, start=2):
        with (folder / notes.COUNTS_NAME).open("ab") as stream:
            stream.write(counts(number))
    assert sorted(found.requests for found in first.read()) == [2, 3]
    assert first.read() == []
    assert sorted(found.requests for found in second.read()) == [2, 3]


def test_replicas_that_come_and_go_are_no_trouble_to_who_watches(tmp_path: Path) -> None:
    folders = [tmp_path / "0"]
    folders[0].mkdir()
    reader = notes.FoldersReader(lambda: folders)
    folders.append(tmp_path / "1")
    folders[1].mkdir()
    assert reader.read() == []
    (folders[1] / notes.COUNTS_NAME).write_bytes(counts(5))
    folders.pop(0)
    assert [found.requests for found in reader.read()] == [5]
