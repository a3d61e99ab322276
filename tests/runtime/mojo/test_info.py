"""What is wrong in a file is told with its place: the line of a text, the byte of anything else."""

from __future__ import annotations

import re
from itertools import product

import pytest

from tests.runtime.mojo.damage import Memory
from tidegate.runtime.mojo import text
from tidegate.runtime.mojo.blobs import doubles_of
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import read_header
from tidegate.runtime.mojo.info import read_info

MODEL = """# H2O
[info]
algorithm = Gradient Boosting Machine
mojo_version = 1.40
supervised = true
n_features = 1
n_classes = 2

prior_class_distrib = [0.5, 0.5]
n_columns = 2
[columns]
kind
late
[domains]
0: 3 d000.txt
1: 2 d001.txt
"""
DOMAINS = {"domains/d000.txt": b"a\nb\nc\n", "domains/d001.txt": b"no\nyes\n"}


def refused(old: str, new: str, **entries: bytes) -> MojoFormatError:
    """Return what a model is refused with, of which something is changed."""
    assert old in MODEL
    others = {name.replace("__", "/").replace("_txt", ".txt"): data for name, data in entries.items()}
    with pytest.raises(MojoFormatError) as raised:
        read_header(Memory({"model.ini": MODEL.replace(old, new).encode(), **DOMAINS, **others}))
    return raised.value


def test_the_model_is_one_as_it_stands() -> None:
    header = read_header(Memory({"model.ini": MODEL.encode(), **DOMAINS}))
    assert header.info.domains == (("a", "b", "c"), ("no", "yes"))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("mojo_version = 1.40", "mojo_version = new", 4),
        ("supervised = true", "supervised = perhaps", 5),
        ("n_features = 1", "n_features = 7", 6),
        ("n_classes = 2", "n_classes = 3", 7),
        ("[0.5, 0.5]", "0.5, 0.5", 9),
        ("[0.5, 0.5]", "[0.5, half]", 9),
        ("n_columns = 2", "n_columns = 3", 10),
        ("0: 3 d000.txt", "0: d000.txt", 15),
        ("1: 2 d001.txt", "1: 99999999999 d001.txt", 16),
    ],
)
def test_a_value_that_is_wrong_is_told_with_its_line(old: str, new: str, line: int) -> None:
    error = refused(old, new)
    assert (error.entry, error.line) == ("model.ini", line)
    assert str(error).startswith(f"model.ini, line {line}: ")


def test_a_key_that_is_missing_has_no_line() -> None:
    error = refused("n_features = 1\n", "")
    assert (error.line, "'n_features' is missing" in str(error)) == (None, True)


def test_levels_that_are_too_few_or_too_many_are_told_with_the_line_where_they_end() -> None:
    fewer = refused("[info]", "[info]", domains__d000_txt=b"a\nb\n")
    assert (fewer.entry, fewer.line) == ("domains/d000.txt", 3)
    assert "line 15 of model.ini says 3" in str(fewer)
    assert refused("[info]", "[info]", domains__d000_txt=b"a\nb\nc\nd\n").line == 4


def test_numbers_that_are_too_few_or_too_many_are_told_with_the_byte_where_they_end() -> None:
    for size, offset in ((40, 40), (64, 48)):
        with pytest.raises(MojoFormatError, match=f"beta at byte {offset}: has {size} bytes") as raised:
            doubles_of(Memory({"beta": bytes(size)}), "beta", 2, 3)
        assert raised.value.offset == offset


@pytest.mark.parametrize("block", [0, 1, 3, 1 << 16])
def test_texts_are_taken_apart_alike_whatever_the_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_BLOCK", block)
    line_end = re.compile(r"\r\n|\n|\r")
    for letters in product("a,\r\n", repeat=6):
        whole = "".join(letters).removeprefix("aa")
        lines = line_end.split(whole)
        wanted = lines[:-1] if lines[-1] == "" else lines
        assert list(text.lines_of(whole)) == wanted
        assert text.count_lines(whole.encode()) == len(wanted)
        assert [part for parts in text.listed(whole) for part in parts] == whole.split(",")


def test_lines_are_those_of_the_file() -> None:
    with pytest.raises(MojoFormatError, match=r"model\.ini, line 4"):
        read_info(Memory({"model.ini": b"[info]\r\n# a remark\r\n\r\nn_columns = x\r\n"}))
