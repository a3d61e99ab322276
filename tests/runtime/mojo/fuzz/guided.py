"""The loop of atheris: it chooses among the files that reached new code, and makes mutants of them."""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import pkgutil
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import atheris
import numpy as np

from tests.runtime.mojo.fuzz.corpus import MOST_BYTES, kept, name_of, seeds
from tests.runtime.mojo.fuzz.mutate import crossed, mutant

_PACKAGE = "tidegate.runtime.mojo"
_NAMES = [f"{_PACKAGE}.{found.name}" for found in pkgutil.iter_modules(importlib.import_module(_PACKAGE).__path__)]
#: Numba cannot read the code that atheris writes; without Numba the kernels are Python as all else.
_COMPILED = [] if "NUMBA_DISABLE_JIT" in os.environ else [name for name in _NAMES if name.endswith("_kernel")]

with atheris.instrument_imports(include=[_PACKAGE], exclude=_COMPILED):
    for _name in _NAMES:
        importlib.import_module(_name)

from tests.runtime.mojo.fuzz.trial import Finding, bounded_memory, tried  # noqa: E402
from tidegate.runtime.mojo import address_kernel, packed_kernel, rows, xgboost, xgboost_kernel  # noqa: E402

#: libFuzzer ends a case that hangs, and the run with it; interpreted kernels are slow without being at fault.
_TIMEOUT_SECONDS = {True: 60, False: 15}
_NOTED_EVERY_SECONDS = 2.0
#: Types of the arrays in a table.
_NUMBERS = (
    ("float64", "<f8"), ("float32", "<f4"), ("int64", "<i8"), ("int32", "<i4"), ("uint32", "<u4"), ("uint8", "u1"),
)  # fmt: skip


def fuzz(work: Path, *, seconds: int, interpreted: bool, seed: int, state: Path) -> int:
    """Fuzz for so many seconds; return 1 with findings, which are written to `work`/findings, else 0.

    What came of it so far stands in `state`, as JSON of the fields of `record.FuzzRun`.

    Files that reached new code are collected in `work`/corpus, and are where the next run goes on.
    """
    corpus, findings = work / "corpus", work / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for data in [*seeds(), *(path.read_bytes() for path in kept())]:
        (corpus / name_of(data)).write_bytes(data)
    if interpreted:
        _make_arithmetic_javas()
    else:
        for path in corpus.iterdir():
            tried(path)  # compiles each kernel, before the clock runs
    run = _Run(findings, state, interpreted=interpreted)
    arguments = [
        sys.argv[0], str(corpus), f"-max_total_time={seconds}", f"-max_len={2 * MOST_BYTES}", f"-seed={seed}",
        f"-timeout={_TIMEOUT_SECONDS[interpreted]}", "-rss_limit_mb=4096", "-print_final_stats=1", "-reload=0",
        f"-artifact_prefix={findings}/", "-len_control=0",
    ]  # fmt: skip
    atheris.Setup(arguments, run.one, custom_mutator=_mutated, custom_crossover=_crossed)
    with bounded_memory(run.room):
        # It ends the process itself when the time is up.
        threading.Thread(target=run.tell_at_the_end, args=(seconds,), daemon=True).start()
        atheris.Fuzz()
    return 0


class _Run:
    """What is known of a run: outcomes, and findings by their key."""

    def __init__(self, findings: Path, state: Path, *, interpreted: bool) -> None:
        self.room = 1 << 30
        self._findings = findings
        self._state = state
        self._start = self._noted = time.monotonic()
        self._interpreted = interpreted
        self._seen: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        folder = Path("/dev/shm")  # noqa: S108 - a file in memory is written thousands of times
        self._file = Path(tempfile.mkstemp(suffix=".zip", dir=folder if folder.is_dir() else None)[1])

    def one(self, data: bytes) -> None:
        if time.monotonic() > self._noted + _NOTED_EVERY_SECONDS:
            self._note()
        self._file.write_bytes(data)
        outcome = tried(self._file)
        if isinstance(outcome, Finding) and outcome.key.startswith("slow_"):
            outcome = tried(self._file)  # the first time kernels were compiled
        if isinstance(outcome, str):
            self._outcomes[outcome] += 1
            return
        if self._interpreted and outcome.key.startswith("slow_"):
            return
        self._keep(outcome, data)

    def _keep(self, found: Finding, data: bytes) -> None:
        self._seen[found.key] += 1
        if self._seen[found.key] > 1:
            return
        self._note()
        name = f"{found.key}_{name_of(data)}"
        (self._findings / name).write_bytes(data)
        (self._findings / f"{name}.txt").write_text(found.told, encoding="utf-8")
        sys.stderr.write(f"FOUND {name}\n{found.told}\n")
        sys.stderr.flush()

    def _note(self) -> None:
        """Write what is known so far: the process may end at any time."""
        self._noted = time.monotonic()
        found = {
            "seconds": round(self._noted - self._start, 1),
            "outcomes": self._outcomes,
            "findings": self._seen,
            "limit_bytes": self.room,
        }
        fresh = self._state.with_suffix(".fresh")
        fresh.write_text(json.dumps(found), encoding="utf-8")
        fresh.replace(self._state)

    def tell_at_the_end(self, seconds: int) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(min(30.0, max(0.0, end - time.monotonic())))
            sys.stderr.write(f"TOLD outcomes {dict(self._outcomes)} findings {dict(self._seen)}\n")
            sys.stderr.flush()
        if self._seen:
            os._exit(1)


def _mutated(data: bytes, most: int, seed: int) -> bytes:
    return mutant(data, most, random.Random(seed), atheris.Mutate)


def _crossed(data: bytes, other: bytes, most: int, seed: int) -> bytes:
    return crossed(data, other, most, random.Random(seed))


def _make_arithmetic_javas() -> None:
    """Let interpreted kernels compute as compiled ones do: infinities and NaN where Python has errors, and fields of
    records by name."""
    lenient = SimpleNamespace(**{name: _lenient(value) for name, value in vars(math).items()})
    for name, module in list(sys.modules.items()):
        if name.startswith(_PACKAGE) and name.endswith("_kernel") and hasattr(module, "math"):
            module.math = lenient  # type: ignore[attr-defined]
    lay_out = xgboost.layout_of  # type: ignore[attr-defined]

    def layout_of(*args: Any, **options: Any) -> Any:
        layout = lay_out(*args, **options)
        return replace(layout, nodes=layout.nodes.view(np.recarray))

    xgboost.layout_of = layout_of  # type: ignore[attr-defined]
    # The quick way reads a row from memory, which Python cannot; the other way makes the same rows.
    rows.plan_of = lambda *_: None  # type: ignore[attr-defined]
    _read_tables_with_numpy()


def _read_tables_with_numpy() -> None:
    """Let interpreted kernels find the arrays of a table by their addresses, each of its length and no longer."""
    for name, dtype in _NUMBERS:
        setattr(packed_kernel, f"_to_{name}", _place_of(np.dtype(dtype)))
    xgboost_kernel._to_node = _place_of(xgboost_kernel.PACKED)  # type: ignore[attr-defined]
    xgboost_kernel._to_float32 = _place_of(np.dtype("<f4"))
    address_kernel._to_int64 = _place_of(np.dtype("<i8"))
    packed_kernel.carray = xgboost_kernel.carray = address_kernel.carray = _array_at  # type: ignore[attr-defined]


def _place_of(dtype: Any) -> Callable[[Any], tuple[int, Any]]:
    return lambda address: (int(address), dtype)


def _array_at(place: tuple[int, Any], shape: Any) -> Any:
    address, dtype = place
    size = int(np.prod(shape))
    if not size:
        return np.empty(shape, dtype)
    found = np.frombuffer((ctypes.c_char * (size * dtype.itemsize)).from_address(address), dtype).reshape(shape)
    return found.view(np.recarray) if dtype.fields else found


def _lenient(value: Any) -> Any:
    if not callable(value):
        return value
    function: Callable[..., Any] = value

    def answer(*args: Any) -> Any:
        try:
            found = function(*args)
        except OverflowError:
            return np.inf
        except ValueError:
            return np.nan
        # Division by a number of NumPy gives an infinity.
        return np.float64(found) if value in (math.sqrt, math.exp) else found

    return answer
