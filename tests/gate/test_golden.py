"""Golden requests: an answer passes when it is within the tolerance everywhere; a mismatch says where and by what."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.golden import GoldenRequests
from tidegate.gate.golden import MOST_KEPT, Answer, outcome, refuse_impossible
from tidegate.runtime.base import Signature, TensorSpec


def golden(*requests: dict[str, Any], **tolerances: Any) -> GoldenRequests:
    return GoldenRequests.model_validate({"requests": list(requests), "tolerances": tolerances})


def told(found: GoldenRequests, *bodies: Any) -> list[str]:
    return [str(one) for one in outcome(found, [Answer(200, body) for body in bodies]).mismatches]


LATE = {"name": "a late flight", "predict": [{}], "expect": [{"label": "late", "p": {"late": 0.8, "on time": 0.2}}]}
ANSWER = {"predictions": [{"label": "late", "p": {"late": 0.8, "on time": 0.2}, "more": 1}], "revision": 2}

numbers = st.floats(-1e6, 1e6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | numbers | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
rows = st.lists(st.dictionaries(st.text(max_size=3), json_values, max_size=3), max_size=3)


@given(expect=rows)
def test_an_answer_that_is_exactly_as_expected_passes(expect: Any) -> None:
    assert told(golden({"predict": [{}], "expect": expect}), {"predictions": copy.deepcopy(expect)}) == []


@given(expected=numbers, off=st.floats(-10, 10), absolute=st.floats(0, 5), relative=st.floats(0, 1))
def test_a_number_passes_exactly_within_the_larger_of_both_tolerances(
    expected: float, off: float, absolute: float, relative: float
) -> None:
    got = expected + off
    allowed = max(absolute, relative * abs(expected))
    found = golden({"predict": [{}], "expect": [{"p": expected}]}, p={"absolute": absolute, "relative": relative})
    assert bool(told(found, {"predictions": [{"p": got}]})) == (abs(got - expected) > allowed)


@given(expected=st.none() | st.booleans() | st.text(max_size=3), got=json_values)
def test_labels_flags_and_missing_values_never_pass_for_another(expected: Any, got: Any) -> None:
    assume((type(expected), expected) != (type(got), got))
    found = golden({"predict": [{}], "expect": [{"p": expected}]}, p={"absolute": 1e9, "relative": 1e9})
    assert told(found, {"predictions": [{"p": got}]})


def test_what_expect_leaves_out_is_free() -> None:
    assert told(golden(LATE), ANSWER) == []
    assert told(golden({"predict": [{}]}), {"predictions": "anything"}) == []


def test_a_mismatch_names_request_place_expected_tolerance_and_got() -> None:
    worse = {"predictions": [{"label": "on time", "p": {"late": 0.61, "on time": 0.39}}]}
    assert told(golden(LATE, p={"absolute": 0.25, "relative": 0.5}), worse) == [
        'golden request 1 (a late flight): predictions[0].label: expected "late", got "on time"',
    ]
    assert told(golden({**LATE, "name": None}, p={"absolute": 0.1, "relative": 0.05}), worse)[1:] == [
        "golden request 1: predictions[0].p.late: expected 0.8 (± 0.1 or ± 5 % of it), got 0.61",
        "golden request 1: predictions[0].p.on time: expected 0.2 (± 0.1 or ± 5 % of it), got 0.39",
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"predictions": []}, "predictions (rows): expected 1, got 0"),
        ({}, "predictions: expected a list of 1, got nothing"),
        ([], "predictions: expected a list of 1, got nothing"),
        ({"predictions": [{"label": "late"}]}, 'predictions[0].p: expected {"late": 0.8, "on time": 0.2}, got nothing'),
        ({"predictions": [7]}, 'predictions[0].label: expected "late", got nothing'),
        (
            {"predictions": [{"label": "late", "p": [0.8, 0.2]}]},
            'predictions[0].p: expected {"late": 0.8, "on time": 0.2}, got a list of 2',
        ),
    ],
)
def test_an_answer_of_another_form_is_a_mismatch_and_no_failure_of_ours(body: Any, said: str) -> None:
    assert said in told(golden(LATE), body)[0]


def test_tensors_are_compared_by_name_flat_or_nested_with_datatype_and_shape_where_they_are_named() -> None:
    found = golden(
        {"infer": {}, "expect": [{"name": "p", "datatype": "FP64", "shape": [1, 2], "data": [[0.2, 0.8]]}]},
        p={"absolute": 0.05},
    )
    right = {"outputs": [{"name": "label"}, {"name": "p", "datatype": "FP64", "shape": [1, 2], "data": [0.2, 0.79]}]}
    assert told(found, right) == []
    wrong = {"outputs": [{"name": "p", "datatype": "FP32", "shape": [1, 2], "data": [0.2, 0.7]}]}
    assert told(found, wrong) == [
        'golden request 1: outputs.p.datatype: expected "FP64", got "FP32"',
        "golden request 1: outputs.p.data[1]: expected 0.8 (± 0.05), got 0.7",
    ]
    assert told(found, {"outputs": []}) == ['golden request 1: outputs.p: expected "a tensor", got nothing']


def test_the_answer_of_a_server_of_ones_own_is_compared_whole() -> None:
    found = golden({"post": {"path": "/score", "body": 1}, "expect": {"score": 3, "of": ["a"]}}, score={"absolute": 1})
    assert told(found, {"score": 3.5, "of": ["a"], "took": 7}) == []
    assert told(found, {"score": 4.5, "of": ["b"]}) == [
        "golden request 1: score: expected 3 (± 1), got 4.5",
        'golden request 1: of[0]: expected "a", got "b"',
    ]


def test_a_status_other_than_200_is_a_mismatch_with_what_the_model_said() -> None:
    answers = [Answer(400, {"error": "field 'x', row 0: expected a number"}), Answer(504, text="no answer in time")]
    found = outcome(golden(LATE, {"predict": [{}]}), answers)
    assert (found.failed, found.requests, found.passed) == (2, 2, False)
    assert "2 of 2 golden requests were not answered as expected: golden request 1 (a late flight)" in found.sentence
    assert "got status 400: \"field 'x', row 0: expected a number\"" in found.sentence
    assert outcome(golden(LATE), [Answer(200, text="<html>")]).mismatches[0].got == '"<html>"'


def test_the_record_of_many_mismatches_is_bounded_and_counts_all_requests() -> None:
    many = [{"predict": [{}], "expect": [{"p": 1}]}] * (MOST_KEPT + 10)
    found = outcome(golden(*many), [Answer(200, {"predictions": [{"p": 2}]})] * len(many))
    assert (len(found.mismatches), found.failed) == (MOST_KEPT, len(many))
    assert found.as_dict()["mismatches"][0] == {
        "request": "1",
        "place": "predictions[0].p",
        "expected": "1",
        "got": "2",
        "tolerance": "± 1e-06 or ± 0.0001 % of it",
    }


def test_an_output_that_the_candidate_does_not_give_is_refused_before_it_is_deployed() -> None:
    signature = Signature("columns", (TensorSpec("x", "FP64"),), (TensorSpec("p", "FP64"),))
    with pytest.raises(InvalidInput, match="golden request 1 expects the output 'label'"):
        refuse_impossible(golden(LATE), signature)
    refuse_impossible(golden(LATE), Signature("opaque", (), ()))
    refuse_impossible(golden({"predict": [{}], "expect": [{"p": 1}]}), signature)
