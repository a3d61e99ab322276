"""What an outcome is, and how requests are counted when their window is over."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.outcomes.joining import KEPT, WORDS, Settling, count
from tidegate.judge import Tally
from tidegate.store import Known, Ripe, Told

NOW = 1_000_000
rows = st.lists(
    st.builds(
        Ripe,
        seq=st.just(0),
        revision=st.sampled_from([1, 2, None]),
        served_at=st.integers(0, 100),
        is_bad=st.sampled_from([True, False, None]),
    ),
    max_size=60,
).map(lambda listed: [Ripe(at, one.revision, one.served_at, one.is_bad) for at, one in enumerate(listed, 1)])
missing = st.sampled_from(["ignore", "good", "bad"])


@given(rows, missing, st.lists(st.integers(0, 60), max_size=5), st.integers(0, 100), st.integers(0, 100))
def test_every_request_counts_once_however_the_looks_fall(
    listed: list[Ripe], missing: str, cuts: list[int], since: int, until: int
) -> None:
    whole = count(listed, after=0, since=since, until=until, missing=missing)  # type: ignore[arg-type]
    grown: Counter[int] = Counter()
    bad: Counter[int] = Counter()
    after = 0
    for cut in [*sorted(cuts), len(listed)]:
        part = [one for one in listed if after < one.seq <= cut]
        found = count(part, after=after, since=since, until=until, missing=missing)  # type: ignore[arg-type]
        grown.update({revision: tally.requests for revision, tally in found.grown.items()})
        bad.update({revision: tally.bad for revision, tally in found.grown.items()})
        after = found.last
    assert after == whole.last == len(listed)
    assert {number: Tally(requests, bad[number]) for number, requests in grown.items()} == whole.grown


@given(rows, missing)
def test_the_arms_are_counted_alike(listed: list[Ripe], missing: str) -> None:
    swapped = [Ripe(one.seq, {1: 2, 2: 1, None: None}[one.revision], one.served_at, one.is_bad) for one in listed]
    one_way = count(listed, after=0, since=0, until=None, missing=missing).grown  # type: ignore[arg-type]
    other = count(swapped, after=0, since=0, until=None, missing=missing).grown  # type: ignore[arg-type]
    assert one_way == {{1: 2, 2: 1}[revision]: tally for revision, tally in other.items()}


def test_a_request_without_an_outcome_counts_as_the_request_document_says() -> None:
    silent = [Ripe(1, 2, 5, None)]
    assert count(silent, after=0, since=0, until=None, missing="ignore").grown == {}
    assert count(silent, after=0, since=0, until=None, missing="good").grown == {2: Tally(1, 0)}
    assert count(silent, after=0, since=0, until=None, missing="bad").grown == {2: Tally(1, 1)}


known = st.builds(
    Known,
    served_at=st.one_of(st.none(), st.integers(NOW - 5000, NOW)),
    revision=st.sampled_from([1, 2, None]),
    is_bad=st.sampled_from([True, False, None]),
    at=st.integers(0, NOW),
)


@given(known, st.booleans(), st.integers(0, NOW), st.one_of(st.none(), st.integers(1, 4000)), st.booleans())
def test_what_is_told_again_changes_nothing_and_what_was_counted_stays(
    before: Known, is_bad: bool, at: int, window_ms: int | None, noting: bool
) -> None:
    settle = Settling(window_ms, noting, NOW)
    word = settle(Told("a", is_bad, at), before)
    assert word in WORDS
    is_over = before.served_at is not None and (window_ms is None or before.served_at + window_ms < NOW)
    if word in KEPT and before.is_bad is not None:
        assert word == "corrected"
        assert before.is_bad != is_bad
        assert not is_over
        assert at >= (before.at or 0)
    if word == "joined":
        assert not is_over
        assert before.revision is not None
    if word in KEPT:
        again = Known(before.served_at, before.revision, is_bad, at)
        assert settle(Told("a", is_bad, at), again) == "duplicate"
