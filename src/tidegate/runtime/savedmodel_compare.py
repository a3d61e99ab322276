"""Do two graphs answer the same? Asked on rows like the sample's, in batches of several sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, TensorSpec
from tidegate.runtime.savedmodel_signature import Backend, SavedModelInterface

_BATCHES = (1, 2, 7, 32, 100)
#: Sizes that are tried for a dimension of any size, when no sample has one.
_SIZES = (1, 5, 16)
#: Largest difference that rounding explains, of the largest answer in the batch, or of 1 when that is less: sums round
#: by the size of what they add, whatever is left of it. Other types must be equal.
_TOLERANCE = {"FP16": 1e-3, "FP32": 1e-6, "FP64": 1e-9}
_UNSEEN = "a text that no sample has"
_SEED = 20240229


def trial_inputs(interface: SavedModelInterface, sample: Columns | None) -> Iterator[Columns]:
    """Yield batches: the sample itself, then random ones within its ranges; the same ones every time."""
    if sample is not None:
        yield sample
    random = np.random.default_rng(_SEED)
    for rows in _BATCHES:
        for size in _SIZES if sample is None and _is_open(interface.inputs) else _SIZES[:1]:
            yield {spec.name: _random(random, spec, rows, size, _known(sample, spec)) for spec in interface.inputs}
    if interface.is_table and (holes := [spec.name for spec in interface.inputs if spec.datatype.startswith("FP")]):
        rows = len(holes) + 1
        batch = {spec.name: _random(random, spec, rows, 1, _known(sample, spec)) for spec in interface.inputs}
        for row, name in enumerate(holes):
            batch[name][[row, -1]] = np.nan
        yield batch


def _is_open(specs: Sequence[TensorSpec]) -> bool:
    return any(-1 in spec.shape[1:] for spec in specs)


def _known(sample: Columns | None, spec: TensorSpec) -> Array | None:
    return None if sample is None else sample[spec.name]


def _random(random: np.random.Generator, spec: TensorSpec, rows: int, size: int, known: Array | None) -> Array:
    """Return values of the input's type, shape [rows, …], like `known` where there are any."""
    inner = known.shape[1:] if known is not None else tuple(size if found < 0 else found for found in spec.shape[1:])
    shape, dtype = (rows, *inner), NUMPY_DTYPES[spec.datatype]
    if spec.datatype == "BYTES":
        texts = set() if known is None else {value for value in known.ravel().tolist() if value is not None}
        picked: Array = random.choice(np.array([*sorted(texts), _UNSEEN, ""], dtype=object), shape)
        return picked
    if spec.datatype.startswith("FP"):
        return np.asarray(_floats(random, shape, known), dtype=dtype)
    if spec.datatype == "BOOL":
        low, high = 0, 1
    elif known is not None:
        low, high = int(known.min()), int(known.max())
    else:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    return np.asarray(
        random.integers(low, high, shape, dtype=np.uint64 if low >= 0 else np.int64, endpoint=True), dtype=dtype
    )


def _floats(random: np.random.Generator, shape: tuple[int, ...], known: Array | None) -> Array:
    finite = known[np.isfinite(known)] if known is not None else np.array([])
    if not finite.size:
        # Small and large ones: a difference may show only where an activation is saturated, or where it is not.
        scales: Array = random.choice([0.1, 1.0, 10.0], size=(shape[0], *(1 for _ in shape[1:])))
        return random.normal(size=shape) * scales
    low, high = float(finite.min()), float(finite.max())
    return random.uniform(low, high, shape) if low < high else random.normal(low, max(1.0, abs(low)), shape)


def difference(
    interface: SavedModelInterface, original: Backend, converted: Backend, batches: Iterator[Columns]
) -> str | None:
    """Return how the second differs from the first, None when it does not.

    A batch that the first refuses must be refused by the second as well.
    """
    compared = 0
    for batch in batches:
        rows = len(next(iter(batch.values())))
        ours, theirs = _answer(interface, converted, batch), _answer(interface, original, batch)
        if isinstance(theirs, Exception) and isinstance(ours, Exception):
            continue
        if isinstance(theirs, Exception) or isinstance(ours, Exception):
            which, error = ("it", ours) if isinstance(ours, Exception) else ("TensorFlow", theirs)
            return f"{which} fails on a batch of {rows} that the other answers: {' '.join(str(error).split())[:200]}"
        for name, expected in theirs.items():
            if (found := _differs(name, ours[name], expected)) is not None:
                return f"{found} in a batch of {rows}"
        compared += 1
    return None if compared else "no row could be compared, for TensorFlow fails on all that were tried"


def _answer(interface: SavedModelInterface, backend: Backend, batch: Columns) -> dict[str, Array] | Exception:
    try:
        return interface.predict(backend, batch)
    except Exception as error:  # noqa: BLE001 (a graph fails with whatever its operations raise)
        return error


def _differs(name: str, found: Array, expected: Array) -> str | None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"{name!r} is {found.dtype}{list(found.shape)} and should be {expected.dtype}{list(expected.shape)}"
    if found.dtype.kind != "f":
        return None if np.array_equal(found, expected) else f"{name!r} differs"
    tolerance: Any = next(limit for kind, limit in _TOLERANCE.items() if NUMPY_DTYPES[kind] == found.dtype)
    largest = np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected))
    if np.allclose(found, expected, rtol=0, atol=tolerance * float(largest), equal_nan=True):
        return None
    with np.errstate(invalid="ignore"):
        gap = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    if np.isnan(gap).any() and not np.array_equal(np.isnan(found), np.isnan(expected)):
        return f"{name!r} differs where a value is missing"
    return f"{name!r} differs by up to {np.nanmax(gap):.2g}"
