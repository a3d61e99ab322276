"""References are read as MLflow's users write them, and what is none is refused."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.contract.errors import InvalidInput
from tidegate.contract.lineage import check_metrics
from tidegate.contract.models import ModelReference, is_alias, is_model_name, parse_reference
from tidegate.contract.request import parse_request

names = st.text(min_size=1, max_size=30).filter(is_model_name)
aliases = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(is_alias)


@given(names, st.integers(1, 10**9 - 1), aliases, st.sampled_from(["none", "staging", "production", "archived"]))
def test_a_reference_is_read_as_it_is_written(name: str, number: int, alias: str, stage: Any) -> None:
    for reference in (
        ModelReference(name, version=number),
        ModelReference(name, alias=alias),
        ModelReference(name, stage=stage),
        ModelReference(name),
    ):
        assert parse_reference(str(reference)) == reference
        assert parse_reference(str(reference).removeprefix("models:/")) == reference


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_bad_input(text: str) -> None:
    with suppress(InvalidInput):
        assert is_model_name(parse_reference(text).model)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("models:/churn@champion", "champion"),
        ("models:/churn/Production", "production"),
        ("models:/churn/latest", "latest"),
        ("models:/churn/3", None),
    ],
)
def test_what_may_name_another_version_tomorrow_is_known(text: str, asked: str | None) -> None:
    assert parse_reference(text).asked == asked


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "churn",
            "models:/",
            "models:/churn",
            "models:/churn/",
            "models:/churn/0",
            "models:/churn/-1",
            "a@",
            "@a",
        ),
        *(
            "models:/a/b/1",
            "models:/churn@v3",
            "models:/churn@latest",
            "models:/churn/prod",
            "models:/churn/" + "9" * 10,
        ),
        *("models:/churn/٣", "models://churn/1"),
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a version of a model"):
        parse_reference(text)


def request(**fields: Any) -> Any:
    return parse_request({"servingRequirements": {}, **fields})


def test_a_request_for_a_version_is_named_after_its_model_and_keeps_the_reference() -> None:
    asked = request(modelArtifact={"path": "models:/Churn Model@champion"}, registry={"alias": "champion"})
    assert (asked.name, asked.model_artifact.path) == ("churn-model", "models:/Churn Model@champion")
    assert asked.anchored(PurePath("/srv")).model_artifact.path == "models:/Churn Model@champion"


def test_arms_that_are_versions_of_one_model_have_names_of_their_own() -> None:
    arms = [{"modelArtifact": {"path": f"models:/churn{which}"}, "weight": 10} for which in ("/2", "@challenger")]
    asked = request(modelArtifact={"path": "models:/churn/1"}, deploymentStrategy="ab-test", abTest={"arms": arms})
    assert [arm.name for arm in asked.ab_test.arms] == ["churn-2", "churn-challenger"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"modelArtifact": {"path": "models:/churn"}}, "a version in the model registry"),
        ({"modelArtifact": {"path": "models:/churn/1", "trust": True}}, "no trust beside models:/churn/1"),
        ({"modelArtifact": {"path": "models:/churn/1", "framework": "onnx"}}, "no framework beside"),
        ({"modelArtifact": {"path": "churn.skops"}, "registry": {"alias": "champion"}}, "names a file"),
        (
            {"modelArtifact": {"path": "models:/churn/1"}, "registry": {"alias": "v3"}},
            "registry.alias: expected a name",
        ),
        ({"modelArtifact": {"path": "models:/churn/1"}, "registry": {"stage": "x"}}, "unknown field"),
    ],
)
def test_what_a_version_cannot_have_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        request(**fields)


@given(st.dictionaries(st.text("abc", min_size=1), st.floats() | st.integers()))
def test_metrics_are_finite_numbers_or_refused(metrics: dict[str, Any]) -> None:
    with suppress(InvalidInput):
        assert all(math.isfinite(value) for value in check_metrics(metrics).values())
