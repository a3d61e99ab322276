"""Labels, draws among equals, balancing, links and calibration."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest

from tidegate.runtime.mojo import link_kernel
from tidegate.runtime.mojo.errors import MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.isotonic import IsotonicFunction
from tidegate.runtime.mojo.label_kernel import finish_classes, first_draw, hash_of, label_of
from tidegate.runtime.mojo.labels import class_name
from tidegate.runtime.mojo.links import Link, gbm_link, glm_link

NONE = np.empty(0)


def test_draws_are_those_of_java() -> None:
    assert first_draw(0) == 0.730967787376657
    assert first_draw(42) == 0.7275636800328681


def test_the_hash_is_of_raw_bits_and_all_nan_are_one() -> None:
    bits = [struct.unpack("<q", struct.pack("<d", value))[0] >> 6 for value in (1.5, -2.0)]
    assert hash_of(np.array([1.5, -2.0])) == bits[0] ^ bits[1]
    assert hash_of(np.array([math.nan])) == hash_of(-np.array([math.nan])) == 0x7FF8000000000000 >> 6


def test_the_largest_probability_wins() -> None:
    assert label_of(np.array([0.2, 0.5, 0.3]), np.zeros(1), NONE) == 1
    assert label_of(np.array([math.nan, 0.5, 0.3]), np.zeros(1), NONE) == 0


def test_equals_are_drawn_by_the_row_and_always_alike() -> None:
    equal = np.array([0.1, 0.45, 0.45])
    rows = np.random.default_rng(1).normal(size=(200, 2))
    drawn = [label_of(equal, row, NONE) for row in rows]
    assert set(drawn) == {1, 2}
    assert drawn == [label_of(equal, row, NONE) for row in rows]
    prior = np.array([0.5, 0.0, 0.5])
    assert {label_of(equal, row, prior) for row in rows} == {0, 2}


@pytest.mark.parametrize(("p1", "label"), [(0.3, 1.0), (0.29999, 0.0), (math.nan, 0.0)])
def test_two_classes_are_told_apart_by_the_threshold(p1: float, label: float) -> None:
    out = np.array([[9.0, 1 - p1, p1]])
    finish_classes(out, np.zeros((1, 1)), NONE, NONE, 0.3, 2)
    assert out[0, 0] == label


def test_balancing_multiplies_and_makes_one_of_all() -> None:
    out = np.array([[9.0, 0.5, 0.5]])
    finish_classes(out, np.zeros((1, 1)), np.array([1.0, 3.0]), NONE, 0.5, 2)
    assert out.tolist() == [[1.0, 0.25, 0.75]]


def test_names_that_read_as_numbers_get_a_letter() -> None:
    assert [class_name(level) for level in ("0", "-3", "yes", "1.5", "")] == ["p0", "p-3", "yes", "1.5", ""]


@pytest.mark.parametrize(
    ("link", "value", "expected"),
    [
        (gbm_link("identity", "x"), 2.5, 2.5),
        (gbm_link(None, "bernoulli"), 0.0, 0.5),
        (gbm_link(None, "poisson"), 1000.0, 1e19),
        (gbm_link("logit", "x"), -1000.0, 1 / (1 + 1e19)),
        (gbm_link("ologlog", "x"), 0.0, 1 - math.exp(-1)),
        (gbm_link("oprobit", "x"), 3.0, 0.0),
        (gbm_link("inverse", "x"), 0.0, math.inf),
        (gbm_link(None, "gaussian"), math.nan, math.nan),
        (gbm_link("log", "x"), math.nan, math.nan),
        (glm_link("inverse"), 0.0, 1 / 1e-5),
        (glm_link("inverse"), -1e-9, -1 / 1e-5),
        (glm_link("log"), 1000.0, math.inf),
        (glm_link("logit"), 0.0, 0.5),
        (glm_link("tweedie", 0.0), -1000.0, 2e-16),
        (glm_link("tweedie", 0.5), 3.0, 9.0),
    ],
)
def test_means_of_links(link: Link, value: float, expected: float) -> None:
    np.testing.assert_equal(link.inverse(np.array([[value]])), [[expected]])


def test_an_unknown_link_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="cloglog"):
        gbm_link("cloglog", "bernoulli")
    assert glm_link("identity").code == link_kernel.IDENTITY


def test_isotonic_functions_interpolate_clip_and_keep_nan() -> None:
    function = IsotonicFunction(np.array([0.0, 1.0, 3.0]), np.array([10.0, 20.0, 40.0]), 0.0, 3.0)
    np.testing.assert_equal(
        function.at(np.array([-5.0, 0.0, 0.5, 1.0, 2.0, 9.0, math.nan])), [10, 10, 15, 20, 30, 40, math.nan]
    )


def test_equal_corners_are_searched_as_java_does() -> None:
    x = np.array([0.0, 1.0, 1.0, 1.0, 2.0])
    function = IsotonicFunction(x, np.arange(5.0), 0.0, 2.0)
    assert function.at(np.array([1.0, 0.5, 1.5])).tolist() == [2.0, 0.5, 3.5]


def test_a_negative_zero_before_the_first_corner_is_refused_as_by_h2o() -> None:
    with pytest.raises(MojoRowError):
        IsotonicFunction(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 0.0, 1.0).at(np.array([-0.0]))
