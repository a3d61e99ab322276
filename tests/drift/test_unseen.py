"""How much there may be of what the reference has hardly seen, counted for one level and drawn for many."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from tidegate.drift.unseen import unseen_chance

ROWS = 1_000_000
ALPHAS = (0.05, 1e-3, 1e-6)


@pytest.mark.parametrize("current", [ROWS // 10, 20 * ROWS])
@pytest.mark.parametrize("expected", [0.01, 1.0, 5.0])
def test_one_rare_level_comes_unseen_no_more_often_than_is_said(expected: float, current: int) -> None:
    """All numbers of its rows are gone through: not seen by the reference, or once, and then by current rows."""
    rows = np.arange(300)
    probabilities = stats.poisson.pmf(rows, expected * current / ROWS)
    for once in (0, 1):
        chances = np.array([unseen_chance(np.array([ROWS]), once, count, (ROWS, current)) for count in rows])
        told = [stats.poisson.pmf(once, expected) * probabilities[chances <= alpha].sum() for alpha in ALPHAS]
        assert np.less_equal(told, np.array(ALPHAS) / 2).all()


def test_many_rare_levels_come_unseen_no_more_often_than_is_said() -> None:
    chance = np.random.default_rng(4)
    chances = []
    for _ in range(2_000):
        seen, now = chance.poisson(1.5, 40), chance.poisson(3.0, 40)
        few = seen <= 1
        known = np.append(seen[~few], 1_000)
        chances.append(unseen_chance(known, int(seen[few].sum()), int(now[few].sum()), (1_060, 2_120)))
    assert np.mean(np.array(chances) <= 0.05) <= 0.05


def test_what_a_large_reference_has_never_seen_is_soon_no_chance() -> None:
    seen = np.array([400, 300, 200, 100])
    chances = [unseen_chance(seen, 0, current, (1_000, 50)) for current in range(6)]
    assert chances[0] == 1.0
    assert all(after < before / 5 for before, after in pairwise(chances))
    # A reference that has many levels once has not seen many others.
    assert unseen_chance(seen, 100, 5, (1_000, 50)) > 0.1
