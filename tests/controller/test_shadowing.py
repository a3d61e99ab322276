"""Answers of two revisions to the same requests are brought together, whenever each of them comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidegate.controller.shadowing import MOST_SHOWN, Compared, Comparison
from tidegate.judge.agreement import Allowed
from tidegate.target.base import Noted


def comparison() -> Comparison:
    return Comparison(lambda _: Allowed(relative=0.01))


def noted(number: int, value: float) -> Noted:
    return Noted(f"request-{number}", {"prediction": [value]})


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 3)), max_size=30)
)
def test_each_request_that_both_sides_answered_is_compared_once(
    requests: list[tuple[bool, bool, bool, int, int]],
) -> None:
    """Whether stable and candidate noted it, whether they agree, and at which look each of the notes comes."""
    compared = comparison()
    both = disagreed = 0
    for look in range(4):
        kept = [noted(n, 1.0) for n, (one, _, _, at, _) in enumerate(requests) if one and at == look]
        tried = [
            noted(n, 1.0 if same else 2.0) for n, (_, two, same, _, at) in enumerate(requests) if two and at == look
        ]
        found = compared.take(kept, tried, now=float(look))
        both += found.requests
        disagreed += found.disagreed
    assert both == sum(one and two for one, two, *_ in requests)
    assert disagreed == sum(one and two and not same for one, two, same, *_ in requests)


def test_a_side_whose_other_one_never_comes_is_forgotten() -> None:
    compared = comparison()
    compared.take([noted(1, 1.0)], [], now=0.0)
    compared.take([], [], now=31.0)
    assert compared.take([], [noted(1, 9.0)], now=32.0) == Compared(0, 0)


def test_some_disagreements_are_kept_to_be_shown() -> None:
    compared = comparison()
    count = MOST_SHOWN + 5
    found = compared.take([noted(n, 1.0) for n in range(count)], [noted(n, 2.0) for n in range(count)], now=0.0)
    assert found == Compared(count, count)
    assert len(compared.examples) == MOST_SHOWN
    assert compared.examples[0]["output"] == "prediction[0]"
    assert (compared.examples[0]["stable"], compared.examples[0]["candidate"]) == (1.0, 2.0)


def test_more_traffic_lowers_the_share_that_is_looked_at_and_small_changes_leave_it() -> None:
    compared = comparison()
    assert compared.aim(50.0) == 1.0
    assert compared.aim(1000.0) == 0.2
    assert compared.aim(1500.0) == 0.2
    assert compared.aim(100_000.0) == 0.002
    assert compared.aim(10.0) == 1.0
