"""Sketches count without loss while there is little, stay small when there is much, and add up in any order."""

from __future__ import annotations

import json
from collections import Counter
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.sketch import LARGEST, MOST_NUMBERS, MOST_TEXTS, SMALLEST, Sketch, key_of, number_of

numbers = st.floats(allow_nan=False)
within = st.floats(-LARGEST, LARGEST).filter(lambda number: abs(number) >= SMALLEST)


def sketch(values, missing=0):
    texts = Counter(value for value in values if isinstance(value, str))
    return Sketch.of(Counter(key_of(value) for value in values if not isinstance(value, str)), texts, missing)


@given(numbers, numbers)
def test_keys_keep_the_order_of_numbers(one, other):
    if one <= other:
        assert key_of(one) <= key_of(other)


@given(within)
def test_a_number_is_read_back_from_its_key(number):
    assert number_of(key_of(number)) == number


values = st.lists(st.one_of(numbers, st.text(max_size=60)), max_size=400)


@given(st.lists(values, max_size=4))
def test_sketches_add_up_in_any_order_and_stay_small(parts):
    sketches = [sketch(part, missing=1) for part in parts]
    forward, backward = (reduce(lambda a, b: a + b, order, Sketch()) for order in (sketches, sketches[::-1]))
    assert forward == backward
    assert forward.total == sum(map(len, parts)) + len(parts)
    assert len(forward.numbers) <= MOST_NUMBERS
    assert len(forward.texts) <= MOST_TEXTS


@given(values)
def test_a_sketch_is_written_down_without_loss(given_values):
    found = sketch(given_values, missing=3)
    assert Sketch.from_plain(json.loads(json.dumps(found.as_plain()))) == found


def test_few_values_are_counted_exactly_and_long_texts_are_not_kept():
    found = sketch([1.5, 1.5, -2.0, "AA"])
    assert {number_of(key): count for key, count in found.numbers.items()} == {1.5: 2, -2.0: 1}
    assert found.texts == {"AA": 1}
    secret = "what somebody wrote into a field that was meant for a word"
    assert secret not in json.dumps(sketch([secret]).as_plain())
