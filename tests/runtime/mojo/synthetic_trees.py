"""Trees of every version, made up at random: their bytes, files around them, and a slow reading of the bytes.

The slow reading follows the format's rules one by one, at each node of each row; it is what the fast one is held to.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.errors import MojoFormatError

VERSIONS = ("1.00", "1.10", "1.20", "1.30", "1.40")
#: Numeric columns, and columns with levels on both sides of the 32 that fit the small form of a set.
DOMAINS: tuple[int | None, ...] = (None, 3, 70, None, 32, 33, 2)
NAMES = tuple(f"n{index}" if levels is None else f"c{index}" for index, levels in enumerate(DOMAINS))
#: Thresholds that values meet exactly, or almost.
THRESHOLDS = (0.0, -0.0, 1.5, -2.25, 0.1, 1e-45, -1e-45, 3.0e38, float("inf"), float("-inf"), 7.0)


def random_tree(rng: random.Random, version: str, depth: int, domains: Sequence[int | None] = DOMAINS) -> bytes:
    """Return the bytes of a tree, `depth` inner nodes deep at most."""
    if depth == 0 or rng.random() < 0.03:
        return b"\x00\xff\xff" + _leaf(rng)
    return _inner(rng, version, depth, domains)


def random_value(rng: random.Random, levels: int | None) -> float:
    """Return a value of a column: a code, or a number near the thresholds; sometimes NaN."""
    if rng.random() < 0.15:
        return math.nan
    if levels is not None:
        return float(rng.randrange(levels))
    value = rng.choice([*THRESHOLDS, rng.gauss(0, 2), rng.gauss(0, 1e-3), 1e300, -1e300, 5e-324, -5e-324])
    near = rng.random()
    if near < 0.2:
        return math.nextafter(value, math.inf)
    return math.nextafter(value, -math.inf) if near < 0.4 else value


def random_rows(rng: random.Random, count: int, domains: Sequence[int | None] = DOMAINS) -> NDArray[np.float64]:
    return np.array([[random_value(rng, levels) for levels in domains] for _ in range(count)], dtype=np.float64)


def model_files(
    version: str,
    trees: dict[tuple[int, int], bytes],
    groups: int,
    keys: dict[str, object],
    domains: Sequence[int | None],
) -> dict[str, bytes]:
    """Return the entries of a MOJO.

    Args:
        trees: bytes by group and class; one that is left out is missing in the file.
        keys: of `[info]`, beside those that every model has; `response` is the number of levels of the response.
    """
    response = keys.pop("response", None)
    levels = [*domains, response]
    names = [*(f"n{i}" if k is None else f"c{i}" for i, k in enumerate(domains)), "y"]
    info = {
        "h2o_version": "3.10.0.1",
        "mojo_version": version,
        "license": "Apache License Version 2.0",
        "algo": "gbm",
        "algorithm": "Gradient Boosting Machine",
        "endianness": "LITTLE_ENDIAN",
        "uuid": "123",
        "supervised": "true",
        "n_features": len(domains),
        "n_columns": len(names),
        "n_domains": sum(k is not None for k in levels),
        "balance_classes": "false",
        "default_threshold": "0.5",
        "prior_class_distrib": "null",
        "model_class_distrib": "null",
        "timestamp": "2016-09-30T00:00:00.000Z",
        "n_trees": groups,
        **keys,
    }
    lines = ["[info]", *(f"{key} = {value}" for key, value in info.items()), "", "[columns]", *names, "", "[domains]"]
    entries = {f"trees/t{index:02d}_{group:03d}.bin": data for (group, index), data in trees.items()}
    for column, count in enumerate(levels):
        if count is not None:
            lines.append(f"{column}: {count} d{column:03d}.txt")
            entries[f"domains/d{column:03d}.txt"] = "".join(f"L{code}\n" for code in range(int(str(count)))).encode()
    return {"model.ini": ("\n".join(lines) + "\n").encode(), **entries}


def leaf_value(data: bytes, version: str, row: Sequence[float], domains: Sequence[int | None] = DOMAINS) -> float:
    """Return the value of the leaf that a row ends in, read straight from a tree's bytes."""
    number = float(version)
    at = 0
    while True:
        flags = data[at]
        column, missing = int.from_bytes(data[at + 1 : at + 3], "little"), data[at + 3]
        if column == 65535:
            return float(struct.unpack_from("<f", data, at + 3)[0])
        at += 4
        value = row[column]
        kind = flags & 0x0C
        levels = domains[column]
        absent = math.isnan(value) or (number >= 1.2 and levels is not None and _as_int(value) >= levels)
        right = False
        if missing == 1:
            right = absent
        elif kind == 0:
            right = value >= struct.unpack_from("<f", data, at)[0]
            at += 4
        else:
            first, bits, at = _set_header(data, at, kind, number)
            stored = data[at : at + (bits + 7) // 8]
            at += len(stored)
            code = 0 if absent else _as_int(value) - first
            if not absent and not 0 <= code < bits:
                absent = number >= 1.1
            elif not absent:
                right = bool(stored[code >> 3] >> (code & 7) & 1)
        if absent and missing != 1:
            right = missing in (0, 3, 5)
        length = 4
        if flags & 0x30 == 0:
            width = (flags & 3) + 1
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        if right:
            at += length
        if flags & (0xC0 if right else 0x30):
            return float(struct.unpack_from("<f", data, at)[0])


def _as_int(value: float) -> int:
    return int(min(max(value, -(2.0**31)), 2.0**31 - 1))


def _set_header(data: bytes, at: int, kind: int, version: float) -> tuple[int, int, int]:
    if kind == 8:
        return 0, 32, at
    if version >= 1.2:
        first, bits = struct.unpack_from("<Hi", data, at)
        return first, bits, at + 6
    first, count = struct.unpack_from("<HH", data, at)
    return first, 8 * count, at + 4


def _leaf(rng: random.Random) -> bytes:
    return struct.pack("<f", rng.gauss(0, 1) * 10 ** rng.randrange(-3, 3))


def _inner(rng: random.Random, version: str, depth: int, domains: Sequence[int | None]) -> bytes:
    column = rng.randrange(len(domains))
    levels = domains[column]
    missing = rng.choice([1, 2, 3, 4, 5, 2, 3])
    kind, payload = 0, b""
    if missing != 1:
        kind, payload = _split(rng, version, levels)
    left_inner, right_inner = (depth > 1 and rng.random() < 0.8 for _ in range(2))
    left = _inner(rng, version, depth - 1, domains) if left_inner else _leaf(rng)
    right = _inner(rng, version, depth - 1, domains) if right_inner else _leaf(rng)
    flags, length = kind, b""
    if left_inner:
        width = rng.choice([width for width in (1, 2, 3, 4) if len(left) < 256**width])
        flags |= width - 1
        length = len(left).to_bytes(width, "little")
    else:
        flags |= 0x30
    flags |= 0 if right_inner else 0xC0
    return struct.pack("<BHB", flags, column, missing) + payload + length + left + right


def _split(rng: random.Random, version: str, levels: int | None) -> tuple[int, bytes]:
    """Return the kind and the payload of a split."""
    if levels is None:
        return 0, struct.pack("<f", rng.choice([*THRESHOLDS, rng.gauss(0, 2)]))
    if rng.random() < 0.15:
        return 0, struct.pack("<f", rng.randrange(levels) + 0.5)
    if levels <= 32 and rng.random() < 0.7:
        return 8, rng.randbytes(4)
    first = rng.choice([0, rng.randrange(levels)])
    if float(version) >= 1.2:
        bits = rng.randrange(levels - first + 1) if rng.random() < 0.9 else 0
        return 12, struct.pack("<Hi", first, bits) + rng.randbytes((bits + 7) // 8)
    count = rng.randrange((levels - first + 7) // 8 + 1)
    return 12, struct.pack("<HH", first, count) + rng.randbytes(count)


class Entries(dict[str, bytes]):
    """A MOJO in memory."""

    def has(self, name: str) -> bool:
        return name in self

    def size(self, name: str) -> int:
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        if name not in self:
            raise MojoFormatError(name, "is missing")
        return self[name]

    def below(self, folder: str) -> Entries:
        folder = folder.rstrip("/") + "/"
        return Entries({name.removeprefix(folder): data for name, data in self.items() if name.startswith(folder)})


def regression(
    version: str, trees: Sequence[bytes], domains: Sequence[int | None] = DOMAINS, **keys: object
) -> Entries:
    """Return boosted trees of a regression, which begin with 0."""
    info = {"distribution": "gaussian", "init_f": "0.0", "category": "Regression", "n_classes": 1, **keys}
    files = model_files(version, {(group, 0): data for group, data in enumerate(trees)}, len(trees), info, domains)
    return Entries(files)
