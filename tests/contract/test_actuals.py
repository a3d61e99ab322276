"""What really was, put beside the rows of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.actuals import UNNAMED, by_row


@pytest.mark.parametrize(
    ("actual", "rows", "found"),
    [
        (3, 1, {UNNAMED: [3]}),
        ([3], 1, {UNNAMED: [3]}),
        ([0.1, 0.9], 1, {UNNAMED: [[0.1, 0.9]]}),
        ([1, None], 2, {UNNAMED: [1, None]}),
        ({"price": 3}, 1, {"price": [3]}),
        ({"price": [3, 4], "class": ["a", None]}, 2, {"price": [3, 4], "class": ["a", None]}),
        ([{"price": 3}, {"price": 4, "class": "a"}], 2, {"price": [3, 4], "class": [None, "a"]}),
        (3, 2, None),
        ([1, 2, 3], 2, None),
        ({"price": [3, 4], "class": "a"}, 2, None),
    ],
)
def test_it_is_of_the_row_of_each_row_or_by_output_and_else_it_does_not_fit(actual: Any, rows: int, found: Any) -> None:
    assert by_row(actual, rows) == found
