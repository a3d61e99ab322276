"""Several threads answer as one does."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.mojo.matrix.kept import DATA, read_index
from tidegate import mojo
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.parts import LEAST_ROWS, MOST_THREADS, PARTS_EACH, _pool, score_in_parts

Floats = NDArray[np.float64]
_INDEX = {entry["name"]: entry for entry in read_index()["models"]}


@pytest.mark.parametrize("algorithm", ["gbm", "drf", "xgboost", "glm", "deep_learning", "stacked_ensemble", "glrm"])
def test_scores_are_the_same_to_the_bit(algorithm: str) -> None:
    entry = next(e for e in _INDEX.values() if e["algorithm"] == algorithm and "failure" not in e)
    model = mojo.load(DATA / entry["mojo"])
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 3, (LEAST_ROWS * 3 + 7, model.builder.width)).astype(np.float64)

    alone = model.predict(rows)

    for threads in (2, 3, 64):
        np.testing.assert_array_equal(model.predict(rows, threads=threads), alone)


def test_parts_are_scored_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)

    def score(rows: Floats, offset: Floats | None) -> Floats:
        assert offset is not None
        both.wait()
        return rows + offset[:, None]

    rows = np.arange(2.0 * LEAST_ROWS)[:, None]
    np.testing.assert_array_equal(score_in_parts(score, rows, rows[:, 0], 2), 2 * rows)


def test_a_thread_that_does_not_begin_is_not_waited_for() -> None:
    end = threading.Event()
    busy = [_pool().submit(end.wait, 60) for _ in range(MOST_THREADS)]
    try:
        rows = np.arange(8.0 * LEAST_ROWS)[:, None]
        np.testing.assert_array_equal(score_in_parts(_doubled, rows, None, 2), 2 * rows)
        assert not any(one.done() for one in busy)
    finally:
        end.set()


def test_a_thread_that_is_held_up_leaves_the_rest_to_others() -> None:
    seen: list[str] = []
    rest = threading.Event()

    def score(rows: Floats, _: Floats | None) -> Floats:
        seen.append(threading.current_thread().name)
        if rows[0, 0] == 0.0:
            rest.wait(60)  # until all others are scored
        elif len(seen) == 2 * PARTS_EACH:
            rest.set()
        return rows

    rows = np.arange(2.0 * PARTS_EACH * LEAST_ROWS)[:, None]
    np.testing.assert_array_equal(score_in_parts(score, rows, None, 2), rows)
    assert len(seen) == 2 * PARTS_EACH
    assert min(map(seen.count, set(seen))) == 1


def _doubled(rows: Floats, _: Floats | None) -> Floats:
    return 2.0 * rows


def test_a_process_that_was_forked_has_threads_of_its_own() -> None:
    rows = np.arange(4.0 * LEAST_ROWS)[:, None]
    score_in_parts(_doubled, rows, None, 4)
    forked = multiprocessing.get_context("fork").Process(target=score_in_parts, args=(_doubled, rows, None, 4))
    forked.start()
    forked.join(60)
    assert forked.exitcode == 0


def test_few_rows_stay_in_the_thread_that_asked() -> None:
    seen = []

    def score(rows: Floats, _: Floats | None) -> Floats:
        seen.append((threading.current_thread(), len(rows)))
        return rows

    score_in_parts(score, np.zeros((2 * LEAST_ROWS - 1, 1)), None, 8)
    assert seen == [(threading.current_thread(), 2 * LEAST_ROWS - 1)]


def test_an_error_names_the_row_among_all() -> None:
    def score(rows: Floats, _: Floats | None) -> Floats:
        for place, value in enumerate(rows[:, 0]):
            if value < 0.0:
                raise MojoRowError(f"row {place}")
        return rows

    rows = np.zeros((4 * LEAST_ROWS, 1))
    rows[3 * LEAST_ROWS + 5] = -1.0
    with pytest.raises(MojoRowError, match=f"row {3 * LEAST_ROWS + 5}"):
        score_in_parts(score, rows, None, 4)
