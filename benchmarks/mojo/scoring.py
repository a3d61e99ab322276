"""Tidegate's reader under a clock: the counterpart of Genmodel.java, with its commands and more.

python -m benchmarks.mojo.scoring first MOJO CSV    scores the first row, tells the most memory it had, and ends
python -m benchmarks.mojo.scoring serve MOJO CSV    answers commands, one a line, with one line each

All but "memory" take a number of calls and are answered with nanoseconds of CPU time of this thread and by the clock,
all calls together, and the sum of what was predicted: "score0" scores a numeric row, "easy" a dict, "matrix" 10,000
numeric rows, "threads2" does so in two threads, "columns" takes 10,000 rows as columns, "load" loads the model again.
"read" makes the numeric row of a dict as "easy" does, in compiled code where that does all of it; "call" calls compiled
code that does nothing with what "score0" hands over;
"walk" goes a thousand steps through memory of the model's size, each where the one before says, to another line of the
cache, and "walk16" a hundred on each of sixteen such ways, side by side; "touch" adds up the numbers that "matrix"
reads, and "touch2" does so in two threads.
"steps" is answered with how many nodes of its trees a row goes through, at the mean of some rows, 0 without trees.
"memory" is answered with the bytes by which loading the model once more makes the process grow.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# NumPy and the reader come within `main`: "first" is timed from the start of the process.

Row = dict[str, Any]
#: Ways through memory that are gone side by side.
_CHAINS = 16


def main(mode: str, mojo: str, table: str) -> None:
    from tidegate import mojo as reader

    if mode == "first":
        print(_probability(reader.load(mojo).predict(_rows(Path(table), most=1)[0])))
        print(memory("VmHWM"))
        return
    model = reader.load(mojo)
    before = memory("VmRSS")
    second = reader.load(mojo)
    kept = memory("VmRSS") - before
    del second
    clock = Clock(reader, mojo, model, _rows(Path(table)), kept)
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["memory"]:
                answer: object = kept
            case ["steps"]:
                answer = clock.steps()
            case [what, number]:
                answer = clock.timed(what, int(number))
        print(answer, flush=True)


class Clock:
    def __init__(self, reader: Any, path: str, model: Any, rows: list[Row], kept: int) -> None:
        import numba
        import numpy as np

        from tidegate.runtime.mojo.rows import LENIENT

        self._pool = ThreadPoolExecutor(1)
        self._nothing, self._empty = numba.njit(lambda table, row, offset, out: -1), np.empty
        self._walk, self._walk_many = numba.njit(_walked), numba.njit(_walked_by_many)
        self._lines, self._starts = _ring(max(kept, 1 << 20))
        self._reads = Reader(model)

        self._reader, self._path, self._model = reader, path, model
        names = [field.name for field in model.fields]
        missing = {name: float("nan") if name[0] in "nm" else None for name in names}
        self._rows = [{name: row.get(name, missing[name]) for name in names} for row in rows]
        self._columns = {
            name: np.array([row[name] for row in self._rows], dtype=np.float64)
            if name[0] in "nm"
            else [row[name] for row in self._rows]
            for name in names
        }
        self._matrix, _ = model.rows(self._columns, len(rows), LENIENT)
        self._single = [self._matrix[place : place + 1].copy() for place in range(len(rows))]
        self._next = 0
        self._ways: dict[str, Callable[[int], float]] = {
            "score0": self._score0,
            "easy": self._easy,
            "read": self._read,
            "call": self._call,
            "load": self._load,
            "walk": lambda calls: float(sum(self._walk(self._lines, 1000) for _ in range(calls))),
            "walk16": lambda calls: float(sum(self._walk_many(self._lines, self._starts, 100) for _ in range(calls))),
            "touch": lambda calls: sum(float(self._matrix.sum()) for _ in range(calls)),
            "touch2": self._touch_in_two,
            "matrix": lambda calls: sum(float(model.predict(self._matrix)[:, -1].sum()) for _ in range(calls)),
            "threads2": lambda calls: sum(
                float(model.predict(self._matrix, threads=2)[:, -1].sum()) for _ in range(calls)
            ),
            "columns": lambda calls: sum(
                float(list(model.predict(self._columns).values())[-1].sum()) for _ in range(calls)
            ),
        }

        # What is compiled when it is first called is not to be timed.
        for what in ("call", "walk", "walk16"):
            self._ways[what](1)

    def timed(self, what: str, calls: int) -> str:
        way = self._ways[what]
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        total = way(calls)
        cpu, wall = time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
        return f"{cpu} {wall} {total!r}"

    def _score0(self, calls: int) -> float:
        score, total = self._model.scorer.score, 0.0
        for row in self._turn(self._single, calls):
            total += score(row)[0, -1]
        return float(total)

    def _easy(self, calls: int) -> float:
        predict, total, last = self._model.predict, 0.0, self._model.outputs[-1]
        for row in self._turn(self._rows, calls):
            total += predict(row)[last]
        return total

    def _read(self, calls: int) -> float:
        reads, total = self._reads, 0
        for row in self._turn(self._rows, calls):
            total += reads(row)
        return float(total)

    def _call(self, calls: int) -> float:
        nothing, empty, width, words = self._nothing, self._empty, len(self._model.outputs), self._lines[:8]
        none = empty(0)
        for row in self._turn(self._single, calls):
            nothing(words, row, none, empty((1, width)))
        return 0.0

    def steps(self) -> float:
        from tidegate.contract.errors import TidegateError

        try:
            paths = self._model.leaf_assignment({name: column[:200] for name, column in self._columns.items()})
        except TidegateError:
            return 0.0
        return sum(len(path) for column in paths.values() for path in column) / 200

    def _touch_in_two(self, calls: int) -> float:
        half = len(self._matrix) // 2
        parts = self._matrix[:half], self._matrix[half:]
        other = self._pool.submit
        return sum(
            float(theirs.result() + mine)
            for _ in range(calls)
            for theirs in [other(parts[0].sum)]
            for mine in [parts[1].sum()]
        )

    def _load(self, calls: int) -> float:
        return float(sum(len(self._reader.load(self._path).header.features) for _ in range(calls)))

    def _turn(self, rows: list[Any], calls: int) -> list[Any]:
        """Return the rows that come next, so that no call has the row of the one before."""
        start, self._next = self._next, (self._next + calls) % len(rows)
        return (rows[start:] + rows * (1 + calls // len(rows)))[:calls]


class Reader:
    """Makes the numeric row of a dict as the model's own answer to it does."""

    def __init__(self, model: Any) -> None:
        import numba
        import numpy as np

        from tidegate.runtime.mojo.address_kernel import words_at
        from tidegate.runtime.mojo.row_kernel import read_row

        self._quick = model.builder.quick if model.at_once is None else None
        if self._quick is not None:
            return

        @numba.njit
        def read(row: int, address: int) -> bool:
            words = words_at(address, 5)
            plan = words_at(words[3], 3 * words[2]).reshape((words[2], 3))
            return read_row(row, plan, words_at(words[1], 4), words[0], np.empty((1, words[4]))) > 0

        self._read, self._plan = read, model.builder.plan
        self._words = np.array([*self._plan.words(), model.builder.width], dtype=np.int64)
        self._address = self._words.ctypes.data
        read(id({}), self._address)

    def __call__(self, row: Row) -> bool:
        """Return whether it could be read so."""
        return bool(self._read(id(row), self._address)) if self._quick is None else self._quick(row) is not None


def _ring(size: int) -> Any:
    """Return memory of so many bytes whose lines of 64 bytes each begin with the place of another: one ring of all. And
    sixteen places that are as far from each other on it as can be."""
    import numpy as np

    order = np.random.default_rng(0).permutation(size // 64)
    ring = np.zeros(8 * len(order), dtype=np.int64)
    ring[8 * order] = 8 * np.roll(order, -1)
    return ring, 8 * order[:: len(order) // _CHAINS][:_CHAINS]


def _walked(ring: Any, steps: int) -> int:
    place = ring[1]
    for _ in range(steps):
        place = ring[place]
    ring[1] = place
    return int(place)


def _walked_by_many(ring: Any, places: Any, steps: int) -> int:
    for _ in range(steps):
        for chain in range(_CHAINS):
            places[chain] = ring[places[chain]]
    return int(places[0])


def _probability(answer: Row) -> float:
    *_, last = answer.values()
    return float(last)


def _rows(table: Path, most: int | None = None) -> list[Row]:
    """Read a table without quotes: names that begin with n or m are numbers, others texts, empty cells no entries."""
    with table.open(encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split(",")
        rows = []
        for line in lines:
            cells = zip(names, line.rstrip("\n").split(","), strict=True)
            rows.append({name: float(cell) if name[0] in "nm" else cell for name, cell in cells if cell})
            if len(rows) == most:
                break
    return rows


def memory(what: str) -> int:
    """Return the bytes of this process that are in memory (VmRSS), or were when it had most (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell")


if __name__ == "__main__":
    main(*sys.argv[1:])
