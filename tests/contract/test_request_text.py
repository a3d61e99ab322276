"""Reading a document's text: YAML and JSON, bounded, with the line of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.loading import MOST_BYTES, load_request_text


def refusal(text: str, name: str = "request.yaml") -> str:
    with pytest.raises(InvalidInput) as caught:
        load_request_text(text, name)
    assert caught.value.subject == name
    return str(caught.value)


def test_yaml_and_json_give_the_same() -> None:
    document = {"modelArtifact": {"path": "m.onnx", "trust": True}, "steps": [5, 100], "description": None}
    yaml_text = "modelArtifact:\n  path: m.onnx\n  trust: true\nsteps: [5, 100]\ndescription: ~\n"
    assert load_request_text(yaml_text, "r.yaml") == document
    assert load_request_text(json.dumps(document), "r.json") == document
    assert load_request_text(json.dumps(document, indent="\t"), "standard input") == document


def test_values_mean_what_they_look_like() -> None:
    text = "date: 2026-11-02\nyes: no\nzeros: 007\nbase60: 1:30\nhalf: 0.5\nnothing:\n"
    assert load_request_text(text, "r.yaml") == {
        "date": "2026-11-02",
        "yes": "no",
        "zeros": "007",
        "base60": "1:30",
        "half": 0.5,
        "nothing": None,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", "request.yaml, line 3: the field a is there twice"),
        ("a:\n  b: 1\n  b: 2\n", "request.yaml, line 3: the field b is there twice"),
        ("a: &x 1\nb: *x\n", "line 2: aliases are not accepted"),
        ("a: [1\nb: 2\n", "request.yaml, line 2: not YAML"),
        ("a: 1\n\tb: 2\n", "request.yaml, line 2: not YAML"),
        ("1: a\n", "line 1: expected a field name"),
        ("? [a]\n: b\n", "line 1: expected a field name"),
        ("- 5\n- 100\n", "expected an object with fields such as modelArtifact; got [5, 100]"),
        ("", "the document is empty"),
        ("# nothing\n", "the document is empty"),
        ("a: 1\n---\nb: 2\n", "line 2: not YAML: but found another document"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1: not YAML"),
        ("a: \0\n", "not YAML"),
        ("a: " + "[" * 50 + "]" * 50, "nested more than 20 deep"),
        ("a: " + "[" * 5000, "nested more than 20 deep"),
        ("x" * (MOST_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_yaml_that_is_wrong_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refusal(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n "a": 2}', "the field a is there twice"),
        ('{"a": 1,\n "b": }', "request.json, line 2: not JSON"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ("a: 1", "request.json, line 1: not JSON"),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", "nested more than 20 deep"),
        ('{"a": ' + "[" * 200_000, "nested more than 20 deep"),
        ('{"a": ' + "9" * 10_000 + "}", "cannot be read"),
        ("[]", "expected an object with fields"),
    ],
)
def test_json_that_is_wrong_is_refused_with_its_place(text: str, told: str) -> None:
    assert told in refusal(text, "request.json")


def test_values_of_the_file_stay_out_of_long_messages() -> None:
    assert len(refusal("- " + "x" * 100_000)) < 200


@given(st.text(max_size=60) | st.text("{}[]:,-&*!|>'\"\n\t #ab1?", max_size=40))
def test_any_text_is_an_object_or_refused_as_bad_input(text: str) -> None:
    for name in ("r.yaml", "r.json"):
        told = name
        try:
            assert isinstance(load_request_text(text, name), dict)
        except InvalidInput as error:
            told = error.message
        assert told.startswith(name)


json_objects = st.dictionaries(
    st.text("abcXYZ09_", min_size=1, max_size=6),
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("ab: #'\"-", max_size=8),
    max_size=5,
)


@given(json_objects)
def test_json_reads_back_as_it_was_written(document: dict[str, Any]) -> None:
    assert load_request_text(json.dumps(document), "r.json") == document
    assert load_request_text(json.dumps(document), "r.yaml") == document
