"""What a model cannot compute with is the request's fault, and is named by field, row and value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tests.support.models import write_pickled
from tidegate.contract.errors import ValueRefused
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.rows import inputs_from_rows

GOOD = {"age": 41.0, "floor": 2.0, "town": "b"}


def people() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(0)
    ages, floors = random.normal(40, 9, 300), random.integers(0, 3, 300).astype(float)
    frame = pd.DataFrame({"age": ages, "floor": floors, "town": random.choice(["a", "b", "c"], 300)})
    return frame, (frame.age > 40).astype(int)


def served(steps: list[Any], folder: Path) -> Model:
    frame, label = people()
    write_pickled(make_pipeline(*steps, LogisticRegression()).fit(frame, label), folder / "model", "pickle")
    return get_runtime("sklearn").load(ArtifactFiles(folder / "model"), LoadOptions(trusted=True, sample=[GOOD]))


def ask(model: Model, *changes: Mapping[str, Any]) -> Mapping[str, Any]:
    return model.predict(inputs_from_rows(model.signature.inputs, [{**GOOD, **change} for change in changes]))


def split() -> Any:
    return make_column_transformer(
        (StandardScaler(), ["age"]), (OneHotEncoder(), ["floor"]), (OneHotEncoder(), ["town"])
    )


@pytest.mark.parametrize(
    ("change", "got", "expected"),
    [
        ({"town": "zzz"}, "'zzz'", "one of 'a', 'b', 'c'"),
        ({"town": None}, "null", "one of 'a', 'b', 'c'"),
        ({"age": None}, "null", "a number"),
        ({"age": float("inf")}, "inf", "a number"),
    ],
)
@pytest.mark.parametrize("others", [0, 1, 6])
def test_the_value_that_no_step_takes_is_named(
    tmp_path: Path, change: dict[str, Any], got: str, expected: str, others: int
) -> None:
    model = served([split()], tmp_path)
    with pytest.raises(ValueRefused) as caught:
        ask(model, *[{}] * others, change, {}, change)
    assert caught.value.subject == f"{next(iter(change))}[{others}]"
    assert caught.value.got == got
    assert expected in str(caught.value.expected)
    assert len(ask(model, *[{}] * 3)["prediction"]) == 3


def test_a_value_that_a_step_takes_is_not_blamed_for_another(tmp_path: Path) -> None:
    lenient = make_column_transformer(
        (StandardScaler(), ["age", "floor"]), (OneHotEncoder(handle_unknown="ignore"), ["town"])
    )
    model = served([lenient], tmp_path)
    assert len(ask(model, {"town": "zzz"})["prediction"]) == 1
    with pytest.raises(ValueRefused) as caught:
        ask(model, {"town": "zzz"}, {"town": "zzz", "floor": None})
    assert caught.value.subject == "floor[1]"


def test_a_number_that_is_no_category_is_what_the_message_tells(tmp_path: Path) -> None:
    with pytest.raises(ValueRefused, match=r"Found unknown categories \[.*7\.0.*\]"):
        ask(served([split()], tmp_path), {"floor": 7.0})


def fails_for_the_old(frame: Any) -> Any:
    if (frame["age"] > 75).any():
        raise ValueError("a fault of the model's own")
    return frame


def test_a_model_that_fails_for_an_ordinary_value_is_at_fault_itself(tmp_path: Path) -> None:
    model = served([FunctionTransformer(fails_for_the_old), split()], tmp_path)
    assert len(ask(model, {"age": 50.0})["prediction"]) == 1
    with pytest.raises(ValueError, match="own"):
        ask(model, {"age": 80.0}, {"town": "zzz", "age": 80.0})
