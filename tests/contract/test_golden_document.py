"""Files of golden requests: what is taken, and what is said of one that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.golden import USUAL, Tolerance, parse_golden

LATE = """
tolerances:
  probabilities: {absolute: 0.02}
requests:
  - name: a late flight
    predict: [{distance: 800, carrier: UA}]
    expect: [{prediction: late, probabilities: {late: 0.8}}]
  - infer: {inputs: [{name: x, datatype: FP64, shape: [1], data: [1.0]}]}
    expect: [{name: probabilities, data: [0.2, 0.8]}]
    tolerances: {probabilities: {relative: 0.1}}
  - post: {path: /score, body: {x: 1}}
    expect: {score: 3}
"""


def refused(document: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse_golden(json.dumps(document), "golden.json")
    return str(caught.value)


def test_a_request_has_the_tolerance_of_its_own_else_that_of_the_file_else_the_usual_one() -> None:
    golden = parse_golden(LATE, "golden.yaml")
    first, second, third = golden.requests
    assert [request.form for request in golden.requests] == ["predict", "infer", "post"]
    assert golden.tolerance(first, "probabilities") == Tolerance(absolute=0.02)
    assert golden.tolerance(first, "prediction") == USUAL
    assert golden.tolerance(second, "probabilities") == Tolerance(relative=0.1)
    assert third.outputs() == {"score"}


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({}, "requests[0]: expected exactly one of predict, infer and post"),
        ({"predict": [], "infer": {}}, "expected exactly one of predict, infer and post"),
        ({"predict": [{}], "expect": {"prediction": 1}}, "the answer's list of objects"),
        ({"infer": {}, "expect": [{"data": [1]}]}, "outputs that each have a name"),
        ({"predict": [{}], "expects": []}, "requests[0].expects: unknown field; did you mean expect?"),
        ({"post": {"path": "score", "body": 1}}, "requests[0].post.path"),
        (
            {"predict": [{}], "expect": [{"score": 1}], "tolerances": {"scores": {"absolute": 1}}},
            "tolerances: expected tolerances of outputs that expect names (score)",
        ),
        ({"predict": [{}], "expect": [{"s": 1}], "tolerances": {"s": {"absolute": -1}}}, "tolerances.s.absolute"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(request_: dict[str, Any], told: str) -> None:
    assert told in refused({"requests": [request_]})


def test_a_file_without_requests_is_refused() -> None:
    assert "requests" in refused({"requests": []})
    with pytest.raises(InvalidInput, match=r"golden\.yaml: expected an object with fields such as requests"):
        parse_golden("[]", "golden.yaml")
    with pytest.raises(InvalidInput, match=r"golden\.yaml, line 2: the field requests is there twice"):
        parse_golden("requests: []\nrequests: []", "golden.yaml")
