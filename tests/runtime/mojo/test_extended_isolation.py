"""Extended isolation forests: small ones by hand, and damaged."""

from __future__ import annotations

import math
import random
import struct

import numpy as np
import pytest

from tests.runtime.mojo.synthetic_trees import Entries, regression
from tidegate.contract.errors import InvalidInput
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.registry import read_model

PLANE = struct.pack("<4d", 1.0, -1.0, 0.5, 0.0)
#: One plane, a leaf of one row on its left and one of ten on its right; zeros fill the file.
TREE = (
    struct.pack("<i", 2)
    + struct.pack("<iB", 0, ord("N"))
    + PLANE
    + struct.pack("<iBi", 1, ord("L"), 1)
    + struct.pack("<iBi", 2, ord("L"), 10)
    + bytes(40)
)


def forest(tree: bytes) -> Entries:
    keys = {
        "algorithm": "Extended Isolation Forest",
        "category": "AnomalyDetection",
        "ntrees": 1,
        "sample_size": 16,
        "supervised": "false",
    }
    entries = regression("1.00", [], (None, None), **keys)
    entries["trees/t00.bin"] = tree
    return entries


def mean_length(rows: int) -> float:
    return 2.0 * (math.log(rows - 1) + 0.5772156649) - 2.0 * (rows - 1) / rows


def test_rows_on_the_plane_go_left_and_missing_values_right() -> None:
    rows = np.array([[0.5, 0.0], [0.0, 3.0], [2.0, 0.0], [math.nan, 0.0]])
    got = read_model(forest(TREE)).score(rows)
    lengths = [1.0, 1.0, 1.0 + mean_length(10), 1.0 + mean_length(10)]
    assert got[:, 1].tolist() == lengths
    assert got[:, 0].tolist() == pytest.approx([2 ** -(length / mean_length(16)) for length in lengths], rel=1e-15)


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        (b"\2", "ends within"),
        (struct.pack("<i", 3) + TREE[4:], "3 columns"),
        (TREE[:8] + b"X" + TREE[9:], "neither inner nor a leaf"),
        (TREE[:41], "without a child"),
        (TREE[:30], "ends within a node"),
        (TREE + b"\1", "bytes after"),
        (TREE.replace(struct.pack("<iBi", 2, ord("L"), 10), struct.pack("<iBi", 1, ord("L"), 10)), "occur twice"),
        (TREE.replace(struct.pack("<iBi", 2, ord("L"), 10), struct.pack("<iBi", 2, ord("L"), -10)), "negative"),
        (TREE.replace(struct.pack("<iBi", 2, ord("L"), 10), struct.pack("<iBi", 5, ord("L"), 10)), "without a child"),
        (TREE[:4] + struct.pack("<iBi", 1, ord("L"), 1), "begin with its root"),
    ],
)
def test_what_does_not_add_up_is_refused(tree: bytes, problem: str) -> None:
    with pytest.raises(MojoFormatError, match=problem):
        read_model(forest(tree))


def test_damage_is_refused_or_harmless() -> None:
    rng = random.Random(3)
    for _ in range(300):
        tree = bytearray(TREE[: rng.randrange(40, len(TREE) + 1)])
        tree[rng.randrange(len(tree))] = rng.randrange(256)
        try:
            model = read_model(forest(bytes(tree)))
        except InvalidInput:
            continue
        assert model.score(np.zeros((3, 2))).shape == (3, 2)
