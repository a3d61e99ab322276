"""Deployment names: what is allowed, and what is suggested instead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.names import RESERVED_NAMES, check_name, is_valid_name, name_from_path, suggested_name


@pytest.mark.parametrize("name", ["a", "churn", "churn-v2", "a" * 63, "x1", "v3"])
def test_dns_labels_that_start_with_a_letter_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "My", "my/model", "1st", "-a", "a-", "a_b", "a.b", "a b", "é", "a" * 64, "a\n"])
def test_other_texts_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        check_name(name)


def test_the_message_suggests_a_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_name("my/model", field="--name")
    assert caught.value.subject == "--name"
    assert caught.value.hint == 'try "my-model"'
    assert 'got "my/model"' in caught.value.message


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_paths_of_the_gateway_and_the_api_are_reserved(name: str) -> None:
    with pytest.raises(InvalidInput, match="reserved"):
        check_name(name)


@given(st.text(max_size=200))
def test_every_suggestion_is_valid_and_final(text: str) -> None:
    name = suggested_name(text)
    assert is_valid_name(name)
    assert suggested_name(name) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("models/Churn_model v2.json", "churn-model-v2"),
        ("/data/churn.onnx", "churn"),
        ("churn.tar.gz", "churn"),
        ("flights.v3.skops", "flights-v3"),
        ("mlruns/model/", "model"),
        ("2024.pkl", "model-2024"),
        ("v1.onnx", "model-v1"),
        (".onnx", "onnx"),
        ("/", "model"),
    ],
)
def test_a_name_is_made_from_the_artifact(path: str, name: str) -> None:
    assert name_from_path(path) == name
