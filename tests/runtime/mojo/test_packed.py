"""Arrays that are handed over as a table of addresses are the same arrays."""

from __future__ import annotations

import copy
import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.packed import Packed
from tidegate.runtime.mojo.packed_kernel import flags, float64s, int32s, int64s


@kernel
def total(table: NDArray[np.int64]) -> float:
    found = 0.0
    for value in float64s(table, 0):
        found += value
    for small in int32s(table, 1):
        found += small
    for large in int64s(table, 2):
        found += large
    for flag in flags(table, 3):
        found += 1000.0 if flag else 0.0
    for value in float64s(table, 4):
        found += value
    for large in int64s(table, 5):
        found += large
    return found


def test_values_of_all_types_and_shapes_arrive() -> None:
    packed = Packed(
        np.array([[0.5, 0.25], [1.0, 2.0]]),
        np.arange(10, dtype=np.int32)[::3],
        np.array([2**40]),
        np.array([True, False, True]),
        floats=(0.125,),
        whole=(7, -1, True),
    )
    assert total(packed.table) == 3.75 + (0 + 3 + 6 + 9) + 2**40 + 2000.0 + 0.125 + 7.0


def test_the_arrays_live_as_long_as_the_table_is_used() -> None:
    packed = Packed(np.full(100_000, 2.0), np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.bool_))
    gc.collect()
    others = [np.full(100_000, 5.0) for _ in range(20)]
    assert total(packed.table) == 200_000.0
    assert len(others) == 20


def test_an_empty_array_is_empty() -> None:
    nothing = np.empty(0)
    packed = Packed(nothing, nothing.astype(np.int32), nothing.astype(np.int64), nothing.astype(np.bool_))
    assert total(packed.table) == 0.0
    assert packed.table[:, 1].tolist() == [0] * 6


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("part", ["scorer", "builder"])
def test_what_holds_addresses_is_not_copied(copied: Callable[[Any], Any], part: str) -> None:
    with pytest.raises(TypeError, match="addresses of this process"):
        copied(getattr(mojo.load(FOLDER / "gbm_enum.zip"), part))
