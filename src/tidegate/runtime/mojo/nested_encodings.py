"""From the row of an outer model to that of an inner one which numbers levels otherwise, or has columns made of them.

H2O's own scorer hands codes through as they are, and fails where a column is not there. Its cluster gives every inner
model the user's values, which a code of the outer model stands for; that is done here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.container import MODEL_INI
from tidegate.runtime.mojo.encodings import Field
from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.nested import Picker, places_of
from tidegate.runtime.mojo.scorer import Rows


class Translator:
    """Makes rows of an inner model.

    Args:
        outer: the model whose rows come; of a name that repeats, the last column counts.
        fields: the inputs of the inner model.
        width: slots of its rows.

    Raises:
        MojoFormatError: the outer model lacks an input, or takes it as a number where it has levels.
    """

    def __init__(self, outer: Header, fields: Sequence[Field], width: int) -> None:
        known = places_of(outer.features)
        self._width = width
        self._numbers: list[tuple[int, int]] = []
        self._tables: list[tuple[int, slice, NDArray[np.float64]]] = []
        for field in fields:
            place = known.get(field.name)
            domain = None if place is None else outer.feature_domains[place]
            if place is None or (field.kind != "number" and domain is None):
                problem = "which is not there" if place is None else "with its levels"
                raise MojoFormatError(MODEL_INI, f"a model within needs the column {field.name[:80]!r}, {problem}")
            if field.kind == "number":
                self._numbers.append((place, field.first))
            else:
                slots = slice(field.first, field.first + field.width)
                self._tables.append((place, slots, _slots_of(field, domain or ())))

    def __call__(self, rows: Rows) -> Rows:
        """Return the inner model's rows, C-contiguous. A missing value, and a level that it does not know, are marked
        as missing ones."""
        found = np.full((len(rows), self._width), np.nan)
        for place, slot in self._numbers:
            found[:, slot] = rows[:, place]
        for place, slots, table in self._tables:
            codes, unknown = rows[:, place], len(table) - 1
            known = (codes >= 0.0) & (codes < unknown)
            found[:, slots] = table[np.where(known, codes, unknown).astype(np.intp)]
        return found


def rows_within(outer: Header, inner: Header, fields: Sequence[Field]) -> Picker | Translator:
    """Return what makes an inner model's rows: columns as they are, where their codes mean the same in both models."""
    domains = dict(zip(outer.features, outer.feature_domains, strict=True))
    if all(_is_the_same(field, domains.get(field.name)) for field in fields):
        return Picker(outer.features, inner.features)
    return Translator(outer, fields, inner.n_features)


def _is_the_same(field: Field, domain: tuple[str, ...] | None) -> bool:
    if field.kind == "number" or (field.kind == "value" and domain is None):
        return True
    codes = (field.values.get(level) for level in domain or ())
    return field.kind == "value" and all(code == own for own, code in enumerate(codes))


def _slots_of(field: Field, domain: Sequence[str]) -> NDArray[np.float64]:
    """Return what a field writes for each level of a domain, and in the last row what it does for a missing one."""
    codes = [field.values.get(level) for level in domain]
    if field.kind == "value":
        return np.array([[np.nan if code is None else code] for code in [*codes, None]])
    table = np.zeros((len(domain) + 1, field.width))
    for row, code in enumerate([*codes, None]):
        if field.kind == "one_hot":
            table[row, -1 if code is None else int(code)] = 1.0
        elif code is not None:
            table[row] = [int(code) + 1 >> bit & 1 for bit in range(field.width)]
    return table
