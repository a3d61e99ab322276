"""Names and texts of what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tidegate.runtime.mojo.errors import MojoFormatError
from tidegate.runtime.mojo.header import Header
from tidegate.runtime.mojo.info import Info, Keys
from tidegate.runtime.mojo.outputs import Outputs


def header(domain: tuple[str, ...] | None, **fields: Any) -> Header:
    known: dict[str, Any] = {
        "info": Info(Keys({}), ("x", "y"), (None, domain)),
        "algorithm": "gbm",
        "version": 1.4,
        "category": "Binomial" if domain is None or len(domain) == 2 else "Multinomial",
        "supervised": True,
        "n_features": 1,
        "n_classes": len(domain or ("0", "1")),
        "balance_classes": False,
        "threshold": 0.5,
        "prior": None,
        "model_distribution": None,
    }
    return Header(**{**known, **fields})


def names(domain: tuple[str, ...] | None, columns: int, **fields: Any) -> tuple[str, ...]:
    return Outputs(header(domain, **fields), ["c"] * columns).names


def test_classes_that_are_whole_numbers_have_a_p_before_them() -> None:
    assert names(("0", "1"), 3) == ("predict", "p0", "p1")
    assert names(("-1", "no", "1.5"), 4) == ("predict", "p-1", "no", "1.5")
    assert names(("99999999999", "x"), 3) == ("predict", "99999999999", "x")


def test_calibrated_probabilities_follow() -> None:
    assert names(("0", "1"), 5) == ("predict", "p0", "p1", "cal_p0", "cal_p1")
    assert names(("no", "yes"), 5) == ("predict", "no", "yes", "cal_no", "cal_yes")


def test_two_classes_without_names_are_called_as_the_cluster_calls_them() -> None:
    assert names(None, 3) == names(None, 3, algorithm="glm") == ("predict", "p0", "p1")


def test_a_class_may_be_called_like_another_column() -> None:
    assert names(("predict", "predict_"), 3) == ("predict", "predict_", "predict__")


def test_other_models_keep_the_names_of_their_scorer() -> None:
    plain = header(None, category="AnomalyDetection", algorithm="isolation_forest", n_classes=1)
    assert Outputs(plain, ("predict", "mean_length")).names == ("predict", "mean_length")


def test_a_scorer_with_other_columns_than_classes_is_no_classifier_of_theirs() -> None:
    with pytest.raises(MojoFormatError):
        names(("a", "b", "c"), 3)


def test_labels_are_texts_and_no_label_is_none() -> None:
    outputs = Outputs(header(("lo", "mid", "hi")), ["c"] * 4)
    scores = np.array([[2.0, 0.1, 0.2, 0.7], [-1.0, 0.0, 0.0, 0.0]])
    assert outputs.columns(scores)["predict"].tolist() == ["hi", None]
    assert outputs.one(scores[1:])["predict"] is None
    assert outputs.one(scores[:1]) == {"predict": "hi", "lo": 0.1, "mid": 0.2, "hi": 0.7}
