from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.runtime.mojo.boosters import Leaf, Split, booster_bytes, nodes_of, tree_bytes
from tests.runtime.mojo.numeric_models import Memory, entries_of
from tidegate.runtime.mojo.booster_bytes import ENTRY, Linear, Trees, read_booster
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError

STUMP = Split(1, 0.25, True, Leaf(1.5), Leaf(-2.0))
#: Where the head of the first tree lies: after 140 bytes of the model, two names, and 160 bytes of the trees.
FIRST_TREE = 140 + 8 + len("reg:squarederror") + 8 + len("gbtree") + 160


def read(data: bytes) -> object:
    return read_booster(Memory({ENTRY: data}))


def test_trees_are_read() -> None:
    booster = read_booster(Memory({ENTRY: booster_bytes([(0, STUMP), (0, Leaf(3.0))], features=2)}))
    assert (booster.version, booster.features, booster.groups) == ((1, 6), 2, 1)
    assert booster.base_score == np.float32(0.5)
    assert isinstance(booster.body, Trees)
    assert booster.body.sizes.tolist() == [3, 1]
    assert booster.body.nodes["value"].tolist() == [0.25, 1.5, -2.0, 3.0]
    assert booster.body.drops is None


def test_the_mark_at_the_beginning_may_be_missing() -> None:
    assert read_booster(Memory({ENTRY: booster_bytes([(0, STUMP)], features=2)[4:]})).features == 2


def test_what_follows_the_model_is_ignored() -> None:
    read(booster_bytes([(0, STUMP)], features=2) + b"attributes")


def test_factors_of_dropout_are_found_by_the_place_within_the_group() -> None:
    trees = [(1, STUMP), (0, STUMP), (1, STUMP), (0, STUMP)]
    data = booster_bytes([*trees], features=2, classes=2, drops=[0.5, 0.25, 9.0, 9.0])
    body = read_booster(Memory({ENTRY: data})).body
    assert isinstance(body, Trees)
    assert body.drops is not None
    assert body.drops.tolist() == [0.5, 0.5, 0.25, 0.25]


def test_a_model_without_trees_is_read() -> None:
    body = read_booster(Memory({ENTRY: booster_bytes([], features=2, drops=[])})).body
    assert isinstance(body, Trees)
    assert len(body.nodes) == 0


@pytest.mark.parametrize("name", ["xgb_gbtree_sparse", "xgb_dart_dense", "xgb_gblinear_dense"])
def test_a_file_that_ends_too_early_is_refused_with_the_place(name: str) -> None:
    data = entries_of(name)[ENTRY]
    body = read_booster(Memory({ENTRY: data})).body
    last = len(data) - 200 if isinstance(body, Linear) else 4_000
    for size in [*range(0, 400, 7), *range(400, last, 397)]:
        with pytest.raises(MojoFormatError) as refused:
            read(data[:size])
        assert refused.value.entry == ENTRY
        assert refused.value.offset is not None
        assert refused.value.offset <= size


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [
        (12, -1, "-1 classes"),
        (140, -1, "a name of"),
        (FIRST_TREE - 160, -5, "-5 trees"),
        (FIRST_TREE - 160, 2**31 - 1, "ends before"),
        (FIRST_TREE, 2, "2 roots"),
        (FIRST_TREE + 4, 0, "a tree of 0 nodes"),
        (FIRST_TREE + 4, -4, "a tree of -4 nodes"),
        (FIRST_TREE + 4, 2**31 - 1, "ends before"),
        (FIRST_TREE + 148 + 12, 2, "beyond the 2"),
        (FIRST_TREE + 148 + 3 * 36, 7, "none of the 1 groups"),
    ],
)
def test_a_number_that_cannot_be_is_refused(place: int, value: int, problem: str) -> None:
    data = bytearray(booster_bytes([(0, STUMP)], features=2))
    struct.pack_into("<i", data, place, value)
    with pytest.raises(MojoFormatError, match=problem):
        read(bytes(data))


def test_other_kinds_are_refused() -> None:
    data = booster_bytes([(0, STUMP)], features=2)
    with pytest.raises(MojoUnsupportedError, match="gbtrex"):
        read(data.replace(b"gbtree", b"gbtrex"))
    usual = tree_bytes(nodes_of(STUMP))
    with pytest.raises(MojoUnsupportedError, match="several values"):
        read(data.replace(usual, tree_bytes(nodes_of(STUMP), leaf_vector=2)))
