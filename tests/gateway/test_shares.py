"""Who has which users when weights change: as few as can be change hands."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tidegate.gateway.shares import WHOLE, Shares, reassigned, shares_of


@st.composite
def splits(draw: st.DrawFn) -> dict[int, float]:
    """Weights in hundredths of a percent, 100 percent together, for one to eight revisions."""
    revisions = draw(st.lists(st.integers(1, 9), min_size=1, max_size=8, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=len(revisions) - 1, max_size=len(revisions) - 1)))
    sizes = [later - earlier for earlier, later in pairwise([0, *cuts, WHOLE])]
    return {revision: size / 100 for revision, size in zip(revisions, sizes, strict=True)}


def users(shares: Shares) -> list[int]:
    """Who has each place of the line."""
    return [revision for revision, size in shares for _ in range(size)]


@given(st.lists(splits(), min_size=1, max_size=6))
def test_everybody_who_can_stay_stays(changes: list[dict[int, float]]) -> None:
    shares: Shares = ()
    for before, after in pairwise([{}, *changes]):
        earlier, shares = users(shares), reassigned(shares, after)
        later = users(shares)
        assert Counter(later) == {revision: round(weight * 100) for revision, weight in after.items() if weight}
        if before:
            gains = sum(max(0, round(100 * (weight - before.get(revision, 0)))) for revision, weight in after.items())
            assert sum(old != new for old, new in zip(earlier, later, strict=True)) == gains


@given(st.lists(splits(), min_size=1, max_size=6))
def test_to_ask_twice_for_the_same_changes_nothing(changes: list[dict[int, float]]) -> None:
    shares: Shares = ()
    for split in changes:
        shares = reassigned(shares, split)
        assert reassigned(shares, split) == shares


@given(st.lists(splits(), min_size=1, max_size=6))
def test_no_piece_is_empty_and_neighbours_differ(changes: list[dict[int, float]]) -> None:
    shares: Shares = ()
    for split in changes:
        shares = reassigned(shares, split)
        assert all(size > 0 for _, size in shares)
        assert all(earlier != later for (earlier, _), (later, _) in pairwise(shares))


def test_an_arm_that_is_taken_out_gives_its_users_to_stable_and_the_others_keep_theirs() -> None:
    shares = reassigned(shares_of({1: 100}), {1: 60, 2: 20, 3: 20})
    assert shares == ((1, 6000), (2, 2000), (3, 2000))
    assert reassigned(shares, {1: 80, 3: 20}) == ((1, 8000), (3, 2000))
    assert reassigned(shares, {1: 80, 2: 20}) == ((1, 6000), (2, 2000), (1, 2000))
