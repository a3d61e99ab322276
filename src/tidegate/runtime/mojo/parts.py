"""Large batches in several threads: each scores a part of the rows, with the interpreter's lock released."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.scorer import Rows

#: Below this many rows a part is not worth a thread.
LEAST_ROWS = 256
#: Parts for each thread: of one that starts late, or has its processor taken away, others do what it has not begun.
PARTS_EACH = 4

#: Threads that are kept, of all models together: starting one takes as long as some hundred rows.
MOST_THREADS = max(os.cpu_count() or 1, 2)

Scores = Callable[[Rows, NDArray[np.float64] | None], NDArray[np.float64]]


def score_in_parts(score: Scores, rows: Rows, offset: NDArray[np.float64] | None, threads: int) -> NDArray[np.float64]:
    """Return what `score` says of all rows, shape (rows, outputs), to the bit.

    Args:
        score: of which a row's scores do not depend on other rows.
        threads: at most as many, this one among them.

    Raises:
        MojoRowError: as `score` raises it for all rows at once.
    """
    most = len(rows) // LEAST_ROWS
    workers = min(threads, most)
    if workers < 2:
        return score(rows, offset)
    parts = min(PARTS_EACH * workers, most)
    edges = [len(rows) * part // parts for part in range(parts + 1)]
    pieces = [(rows[start:end], None if offset is None else offset[start:end]) for start, end in pairwise(edges)]
    found: dict[int, NDArray[np.float64]] = {}
    left = deque(range(parts))

    def work() -> None:
        while left:
            try:
                place = left.popleft()
            except IndexError:  # another thread was faster
                return
            found[place] = score(*pieces[place])

    others = [_pool().submit(work) for _ in range(workers - 1)]
    try:
        try:
            work()
            for other in others:
                # One that has not begun by now has nothing to do.
                if not other.cancel():
                    other.result()
        finally:
            left.clear()
    except MojoRowError:
        # It names a row of the part: the first bad one of all rows is to be named.
        return score(rows, offset)
    return np.concatenate([found[part] for part in range(parts)])


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="mojo")


# A forked process has none of the threads, and would wait for them for ever.
os.register_at_fork(after_in_child=_pool.cache_clear)
