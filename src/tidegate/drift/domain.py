"""Several columns at once: can a classifier tell rows of the current data from rows of the reference?

Columns may each be as before and go together in another way, which no reading of single columns sees. Where a
classifier that was trained on some of the rows ranks others better than chance does, the two are not alike: D.
Lopez-Paz, M. Oquab, "Revisiting classifier two-sample tests", ICLR (2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.contract.errors import InvalidInput
from tidegate.drift.bins import tally
from tidegate.drift.columns import Column, Numbers, as_levels, as_numbers, columns_of, numbers_in
from tidegate.drift.reading import Policy, TogetherReading, told_together
from tidegate.drift.significance import rank_chance

#: Rows of either side that are looked at, drawn at random where there are more.
MOST_ROWS = 20_000
#: Rows of either side of which less is no basis for anything: each half trains, and tests.
LEAST_ROWS = 20
#: Levels of a column that the classifier tells apart, the frequent ones; it takes no more.
_MOST_LEVELS = 250
#: What an infinite number is to the classifier: farther away than any other.
_FARTHEST = 1e300
_SEED = 20_13
#: Values of both together up to which one thread is faster than several, which wait for each other after each of many
#: short steps, on a busy machine for a turn at a core each time.
_FOR_ONE_THREAD = 1_000_000

Table = NDArray[np.float64]


def compare_together(reference: Any, current: Any, policy: Policy | None = None) -> TogetherReading:
    """Compare the columns of some rows with those of the reference, all of them at once.

    Both are cut into halves at random. A classifier that learnt from one half of both ranks the other, and the other
    way round, so that every row is ranked by one that has not seen it.

    Args:
        reference, current: rows; see `columns.columns_of` for what they can be. Columns that only one of them has are
            left out.
        policy: from when a change is drift; None for the defaults.

    Raises:
        InvalidInput: they have no column in common, either has fewer than 20 rows, or scikit-learn is not installed.
    """
    policy = policy or Policy()
    sides = columns_of(reference), columns_of(current)
    names = [name for name in sides[0] if name in sides[1]]
    if not names:
        raise InvalidInput(
            "the data has no column of the reference", expected=", ".join(sides[0]), got=", ".join(sides[1])
        )
    rows = len(sides[0][names[0]]), len(sides[1][names[0]])
    for number, what in zip(rows, ("the reference", "the current data"), strict=True):
        if number < LEAST_ROWS:
            raise InvalidInput(
                f"{what} has too few rows to compare columns together", expected=f"{LEAST_ROWS}", got=f"{number}"
            )
    chance = np.random.default_rng(_SEED)
    chosen = [chance.permutation(number)[:MOST_ROWS] for number in rows]
    columns = [_encoded(*(side[name][places] for side, places in zip(sides, chosen, strict=True))) for name in names]
    table = np.column_stack([numbers for numbers, _ in columns])
    is_current = np.arange(len(table)) >= len(chosen[0])
    # The rows of either side are in a random order, so that every second one is a half.
    halves = np.concatenate([np.arange(len(places)) % 2 for places in chosen])
    levels = [place for place, (_, is_levels) in enumerate(columns) if is_levels]
    with _threads(table):
        tried = [_try(table, is_current, halves == half, levels) for half in (0, 1)]
    area = sum(trial.area for trial in tried) / 2
    # Twice the mean of two chances is one, however they hang together: V. Vovk, R. Wang, "Combining p-values via
    # averaging", Biometrika 107 (2020). They do: either classifier has seen what the other is tested with.
    together = min(1.0, sum(trial.chance for trial in tried))
    reading = told_together(area, together, rows=rows, used=(len(chosen[0]), len(chosen[1])), policy=policy)
    if not reading.is_drift:
        return reading
    with _threads(table):
        return reading.by(_told_apart_by(tried, names, chance))


@dataclass(frozen=True)
class _Trial:
    """A classifier, and the rows that it has not seen."""

    classifier: Any
    table: Table
    is_current: NDArray[np.bool_]
    area: float
    chance: float


def _try(table: Table, is_current: NDArray[np.bool_], held_out: NDArray[np.bool_], levels: list[int]) -> _Trial:
    classifier = _classifier(levels)
    classifier.fit(table[~held_out], is_current[~held_out])
    rows, truth = table[held_out], is_current[held_out]
    area, chance = rank_chance(*_scores(classifier, rows, truth))
    return _Trial(classifier, rows, truth, area, chance)


def _scores(classifier: Any, rows: Table, is_current: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """Return the scores of the current rows, and of the reference's."""
    scores = classifier.predict_proba(rows)[:, 1]
    return scores[is_current], scores[~is_current]


def _told_apart_by(trials: list[_Trial], names: list[str], chance: np.random.Generator) -> Mapping[str, float]:
    """Return by column how much of the area is lost when its values are shuffled among the rows, what is lost most
    first; L. Breiman, "Random forests", Machine Learning 45 (2001). Columns that say the same stand in for each other.
    """
    lost = dict.fromkeys(names, 0.0)
    for trial in trials:
        for place, name in enumerate(names):
            rows = trial.table.copy()
            rows[:, place] = chance.permutation(rows[:, place])
            area, _ = rank_chance(*_scores(trial.classifier, rows, trial.is_current))
            lost[name] += (trial.area - area) / len(trials)
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


def _encoded(reference: Column, current: Column) -> tuple[Numbers, bool]:
    """Return a column of both, the reference first, as the classifier takes it, and whether it is one of levels."""
    if numbers_in(reference) is not None:
        numbers = np.concatenate([as_numbers(reference), as_numbers(current)])
        return np.clip(numbers, -_FARTHEST, _FARTHEST), False
    both = np.concatenate([as_levels(reference), as_levels(current)])
    # Which are frequent is counted in both together, which says nothing of the side that a row is of.
    times = tally(both)
    frequent = sorted(times, key=lambda level: (-times[level], level))[:_MOST_LEVELS]
    codes: dict[str | None, float] = {level: float(place) for place, level in enumerate(frequent)}
    codes[None] = np.nan
    return np.array([codes.get(level, float(_MOST_LEVELS)) for level in both.tolist()]), True


@contextmanager
def _threads(table: Table) -> Iterator[None]:
    """Let the classifier take as many threads as make it faster. What it answers is the same."""
    _require_scikit_learn()
    from threadpoolctl import threadpool_limits  # scikit-learn requires it

    with threadpool_limits(1 if table.size <= _FOR_ONE_THREAD else None, user_api="openmp"):
        yield


def _require_scikit_learn() -> None:
    try:
        import sklearn.ensemble  # noqa: F401 (its threads can be limited once it is loaded)
    except ImportError as missing:
        raise InvalidInput(
            "columns are compared together by scikit-learn, which is not installed",
            subject="scikit-learn",
            hint="pip install 'tidegate[drift,sklearn]'",
        ) from missing


def _classifier(levels: list[int]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Small trees, few of them, and either side with as much weight as the other: a first look, not a contest.
    return HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        l2_regularization=1.0,
        categorical_features=levels,
        class_weight="balanced",
        early_stopping=False,
        random_state=_SEED,
    )
