"""All of a model that a kernel needs, as one argument.

To hand an array over to compiled code costs about a tenth of a microsecond, which for a dozen of them is more than a
small model takes to score a row. So they are handed over as one table of their addresses and lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

#: Which compiled function a table is for: boosted trees, a random forest, XGBoost's trees, a linear predictor, and an
#: ensemble of those.
GBM, DRF, BOOSTER, LINEAR, STACK = range(5)


class HoldsAddresses:
    """What cannot be copied or pickled: the copy would point to memory that belongs to the original."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a model that was read holds addresses of this process: copy its file, and load it again")


class Packed(HoldsAddresses):
    """Arrays, of any shape, and numbers after them.

    Args:
        arrays: each is read by its place, flat, with the function of `packed_kernel` for its type.
        floats: they make an array of float64 after the others.
        whole: they make an array of int64 after that.
        keeps: what addresses among the numbers belong to.

    Attributes:
        table: int64 of shape (arrays + 2, 2): the address and the length of each. Good while this object lives.
    """

    def __init__(
        self,
        *arrays: NDArray[Any],
        floats: tuple[float, ...] = (),
        whole: tuple[int, ...] = (),
        keeps: tuple[object, ...] = (),
    ) -> None:
        self._keeps = keeps
        self._kept = [
            *map(np.ascontiguousarray, arrays), np.array(floats, dtype=np.float64), np.array(whole, dtype=np.int64),
        ]  # fmt: skip
        self.table = np.array([(array.ctypes.data, array.size) for array in self._kept], dtype=np.int64)


@dataclass(frozen=True)
class Program:
    """A whole model as compiled code takes it, from a numeric row to its outputs.

    Attributes:
        kind: a constant above.
        width, outputs: slots of a row, and what it is scored to.
        needs_offset: whether an offset of 0 is handed over where a row has none.
        steps: about how many nodes of trees a row goes through.
    """

    kind: int
    packed: Packed
    width: int
    outputs: int
    needs_offset: bool = False
    steps: float = 0.0


@runtime_checkable
class Programmed(Protocol):
    """A scorer that can be a program."""

    @property
    def program(self) -> Program | None:
        """None where this model does what no program does."""
        ...


def steps_of(roots: NDArray[np.signedinteger[Any]], nodes: int) -> float:
    """Return about how many nodes a row goes through: as in balanced trees with as many nodes.

    Args:
        roots: the first node of each tree, the trees one after the other.
        nodes: of all trees.
    """
    return float(np.log2(np.diff(roots, append=nodes) + 1).sum())
