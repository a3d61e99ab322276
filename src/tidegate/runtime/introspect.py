"""What fitted scikit-learn estimators know about the columns that they take.

Read from the attributes that fitting leaves behind (`transformers_`, `categories_`, `statistics_`, …), by their names:
so it works for estimators of other packages too, and this module imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

_TEXT_VECTORIZERS = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer"}
_NUMERIC_ONLY = {
    "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "PowerTransformer", "QuantileTransformer",
    "PolynomialFeatures", "SplineTransformer", "KBinsDiscretizer", "Normalizer", "Binarizer", "KNNImputer",
    "IterativeImputer", "PCA",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of one column; None where nothing is.

    Attributes:
        is_text: whether its values are text.
        categories: the text values seen in training.
        missing: what stands for a missing text value, NaN or None.
        category_values: the values of the pandas categorical that the model wants this column to be.
        example: a value that the model is known to accept.
    """

    is_text: bool | None = None
    categories: tuple[str, ...] | None = None
    missing: Any = np.nan
    category_values: tuple[Any, ...] | None = None
    example: Any = None


def feature_names(estimator: Any) -> tuple[str, ...] | None:
    """Return the names of the columns that an estimator was fitted on; None when it was fitted on an array."""
    try:
        names = estimator.feature_names_in_
    except (AttributeError, NotImplementedError, IndexError):
        return None
    return tuple(str(name) for name in names)


def feature_count(estimator: Any) -> int | None:
    """Return the width of the array that an estimator was fitted on, None when it does not say."""
    try:
        return int(estimator.n_features_in_)
    except (AttributeError, TypeError, IndexError):
        return None


def used_names(estimator: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the columns that an estimator was fitted on without which it cannot answer.

    A `ColumnTransformer` drops what none of its parts takes, and does not even ask whether it is there. Only one that
    comes first is looked at, and a column that may be used counts as used.
    """
    first = estimator
    while True:
        steps = [step for _, step in getattr(first, "steps", None) or () if step not in (None, "passthrough")]
        inner = steps[0] if steps else getattr(first, "best_estimator_", None)
        if inner is None:
            break
        first = inner
    if f"{type(first).__module__}.{type(first).__name__}" != "sklearn.compose._column_transformer.ColumnTransformer":
        return tuple(names)
    parts = [(part, chosen) for _, part, chosen in first.transformers_ if not isinstance(part, str) or part != "drop"]
    taken = {name for _, chosen in parts for name in picked_columns(chosen, list(names))}
    return tuple(name for name in names if name in taken) or tuple(names)


def column_facts(estimator: Any, names: Sequence[str]) -> dict[str, ColumnFacts]:
    """Return what is known about each of the columns `names` of a fitted estimator or pipeline."""
    facts = {name: ColumnFacts() for name in names}
    for name, found in _walk(estimator, list(names)):
        if name in facts:
            facts[name] = _merged(facts[name], found)
    return facts


def _merged(known: ColumnFacts, found: ColumnFacts) -> ColumnFacts:
    return replace(
        known,
        is_text=found.is_text if known.is_text is None else known.is_text or found.is_text,
        categories=known.categories or found.categories,
        missing=None if known.missing is None or found.missing is None else np.nan,
        category_values=known.category_values or found.category_values,
        example=found.example if known.example is None else known.example,
    )


def _walk(estimator: Any, names: list[str]) -> Iterator[tuple[str, ColumnFacts]]:
    """Yield facts about the columns that enter `estimator`, which are called `names` in this order."""
    if hasattr(estimator, "transformers_"):
        for _, transformer, chosen in estimator.transformers_:
            picked = picked_columns(chosen, names)
            yield from _walk(transformer, picked)
        return
    if hasattr(estimator, "transformer_list"):
        for _, transformer in estimator.transformer_list:
            yield from _walk(transformer, names)
        return
    if hasattr(estimator, "steps"):
        # The columns stay the same ones, in order, as long as steps only fill gaps.
        for _, step in estimator.steps:
            yield from _walk(step, names)
            if not _keeps_columns(step, len(names)):
                return
        return
    preprocessor = getattr(estimator, "_preprocessor", None)
    if preprocessor is not None and hasattr(preprocessor, "transformers_"):
        yield from _walk(preprocessor, names)
        return
    inner = getattr(estimator, "best_estimator_", None) or _fitted_inner(estimator)
    if inner is not None:
        yield from _walk(inner, names)
        return
    yield from _direct(estimator, names)


def _fitted_inner(estimator: Any) -> Any:
    """Return an estimator that got the very same columns: that of a calibrator, a threshold, a target transformer."""
    for attribute in ("estimator_", "regressor_", "base_estimator_"):
        if hasattr(getattr(estimator, attribute, None), "n_features_in_"):
            return getattr(estimator, attribute)
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    if calibrated:
        return calibrated[0].estimator
    members = getattr(estimator, "estimators_", None)
    same_width = (
        isinstance(members, list)
        and members
        and feature_names(members[0]) is not None
        and feature_names(members[0]) == feature_names(estimator)
    )
    return members[0] if same_width and members else None


def picked_columns(chosen: Any, names: list[str]) -> list[str]:
    """Return the names of the columns that a part of a `ColumnTransformer` was fitted on.

    Args:
        chosen: as in `transformers_`: a name, positions, a slice, a mask, or a list of any of these.
        names: all columns, in order.
    """
    if isinstance(chosen, str):
        return [chosen]
    if isinstance(chosen, slice):
        bounds = (chosen.start, chosen.stop)
        if any(isinstance(bound, str) for bound in bounds):
            start = names.index(chosen.start) if chosen.start is not None else 0
            stop = names.index(chosen.stop) + 1 if chosen.stop is not None else len(names)
            return names[start : stop : chosen.step]
        return names[chosen]
    values = np.atleast_1d(np.asarray(chosen, dtype=object)).tolist()
    if values and all(isinstance(value, (bool, np.bool_)) for value in values):
        return [name for name, keep in zip(names, values, strict=False) if keep]
    return [value if isinstance(value, str) else names[int(value)] for value in values]


def _keeps_columns(step: Any, width: int) -> bool:
    if type(step).__name__ not in ("SimpleImputer", "FunctionTransformer") and step != "passthrough":
        return False
    if getattr(step, "add_indicator", False):
        return False
    statistics = getattr(step, "statistics_", None)
    dropped = statistics is not None and any(_is_nan(value) for value in np.asarray(statistics, dtype=object))
    return not dropped and getattr(step, "n_features_in_", width) == width


def _is_nan(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def _direct(estimator: Any, names: list[str]) -> Iterator[tuple[str, ColumnFacts]]:
    kind = type(estimator).__name__
    if kind in _TEXT_VECTORIZERS:
        yield from ((name, ColumnFacts(is_text=True)) for name in names)
    elif kind in _NUMERIC_ONLY:
        yield from ((name, ColumnFacts(is_text=False)) for name in names)
    elif kind == "FeatureHasher":
        yield from ((name, ColumnFacts(is_text=True)) for name in names)
    elif _has_categories(estimator, names):
        for name, values in zip(names, estimator.categories_, strict=True):
            yield name, _from_categories(values)
    elif hasattr(estimator, "statistics_"):
        missing = None if estimator.missing_values is None else np.nan
        for name, is_text in zip(names, _imputed_text(estimator, len(names)), strict=True):
            yield name, ColumnFacts(is_text=is_text, missing=missing)


def _has_categories(estimator: Any, names: Sequence[str]) -> bool:
    found = getattr(estimator, "categories_", None)
    return isinstance(found, list) and len(found) == len(names) and all(isinstance(part, np.ndarray) for part in found)


def _from_categories(values: Iterable[Any]) -> ColumnFacts:
    listed = list(values)
    texts = tuple(str(value) for value in listed if isinstance(value, str))
    if not texts:
        numbers = [float(value) for value in listed if isinstance(value, (int, float, np.number))]
        return ColumnFacts(is_text=False, example=next((value for value in numbers if not np.isnan(value)), None))
    knows_none = any(value is None for value in listed)
    knows_nan = any(_is_nan(value) for value in listed)
    return ColumnFacts(is_text=True, categories=texts, missing=None if knows_none and not knows_nan else np.nan)


def _imputed_text(imputer: Any, width: int) -> list[bool | None]:
    dtype = getattr(imputer, "_fit_dtype", None)
    if dtype is not None and np.dtype(dtype).kind in "fiub":
        return [False] * width
    statistics = np.asarray(imputer.statistics_, dtype=object)
    if len(statistics) != width:
        return [None] * width
    return [True if isinstance(value, str) else None for value in statistics]


def takes_one_text(estimator: Any) -> bool:
    """Whether an estimator takes a plain list of texts: it begins with a text vectorizer."""
    first = estimator
    while getattr(first, "steps", None):
        first = first.steps[0][1]
    return type(first).__name__ in _TEXT_VECTORIZERS
