"""Answers of a candidate agree with stable's as far as the request allows: each output by its own tolerance."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.contract.request import parse_request
from tidegate.controller.shadowing import Comparison
from tidegate.target.base import Noted
from tidegate.trial.tolerances import tolerances

#: As a request says them: one output by its share, one by its unit, all others hardly at all.
SAID = {
    "tolerance": {"relative": 1e-6},
    "tolerances": {"minutes": {"relative": 0.05}, "probabilities": {"absolute": 0.02}},
}


def disagrees(stable: dict[str, Any], candidate: dict[str, Any], said: dict[str, Any]) -> bool:
    """Say whether one request that both answered counts as answered otherwise, under such an analysis."""
    request = parse_request({"modelArtifact": {"path": "m"}, "servingRequirements": {}, "analysis": said})
    comparison = Comparison(tolerances(request.analysis))
    found = comparison.take([Noted("1", stable)], [Noted("1", candidate)], now=0.0)
    assert found.requests == 1
    return bool(found.disagreed)


@pytest.mark.parametrize(
    ("output", "stable", "candidate", "is_other"),
    [
        ("minutes", 100.0, 104.9, False),
        ("minutes", 100.0, 105.1, True),
        ("minutes", -100.0, -104.9, False),
        ("minutes", 0.001, 0.0011, True),
        ("probabilities", 0.001, 0.019, False),
        ("probabilities", 0.9, 0.93, True),
        ("other", 100.0, 100.00001, False),
        ("other", 100.0, 100.01, True),
    ],
)
def test_each_output_is_held_to_its_own_tolerance_and_the_others_to_the_usual_one(
    output: str, stable: float, candidate: float, is_other: bool
) -> None:
    assert disagrees({output: [1.0, stable]}, {output: [1.0, candidate]}, SAID) is is_other


def test_one_output_beyond_its_tolerance_is_enough() -> None:
    stable = {"minutes": [100.0], "probabilities": [[0.2, 0.8]]}
    assert not disagrees(stable, {"minutes": [102.0], "probabilities": [[0.21, 0.79]]}, SAID)
    assert disagrees(stable, {"minutes": [102.0], "probabilities": [[0.25, 0.75]]}, SAID)


def test_the_larger_of_both_parts_of_a_tolerance_holds() -> None:
    said = {"tolerances": {"minutes": {"absolute": 1.0, "relative": 0.01}}}
    assert not disagrees({"minutes": [10.0]}, {"minutes": [10.9]}, said)
    assert not disagrees({"minutes": [1000.0]}, {"minutes": [1009.0]}, said)
    assert disagrees({"minutes": [1000.0]}, {"minutes": [1011.0]}, said)


def test_labels_are_equal_whatever_numbers_may_do() -> None:
    said = {"tolerances": {"label": {"absolute": 10.0}}}
    assert disagrees({"label": ["late"]}, {"label": ["on time"]}, said)


def test_where_nothing_is_said_a_hundredth_of_each_number_is_allowed() -> None:
    assert not disagrees({"minutes": [100.0]}, {"minutes": [100.9]}, {})
    assert disagrees({"minutes": [100.0]}, {"minutes": [101.1]}, {})
