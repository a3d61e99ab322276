"""The quick way through a scikit-learn pipeline: the same fitted steps, fed with arrays in place of a DataFrame.

For one row, most of the time of a `ColumnTransformer` goes into cutting a DataFrame up and checking its names. The
steps do the same arithmetic on arrays, but whether they do is up to each of them; so the quick way is only taken when
it gave the answers of the ordinary way (labels exactly, numbers within 1e-6) on rows that try every column with
missing, unknown and extreme values, and raised no warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.runtime.base import Array, Columns, TensorSpec
from tidegate.runtime.introspect import ColumnFacts, picked_columns
from tidegate.runtime.sklearn_answers import Answer
from tidegate.runtime.trees_engine import is_close

Run = Callable[[Any], Answer]

_COLUMN_TRANSFORMER = "sklearn.compose._column_transformer.ColumnTransformer"
#: Estimators that hand their input on to others, which would miss the names that they were fitted with.
_PASS_ON = ("estimators_", "calibrated_classifiers_", "best_estimator_", "estimator_", "regressor_", "transformer_list")


#: Comparisons of the two ways while a model loads.
_COMPARISONS = 40


class NotApplicableError(Exception):
    """The quick way does not exist for this model."""


def quick_way(
    first: Any, rest: Run, specs: Sequence[TensorSpec], facts: Mapping[str, ColumnFacts]
) -> tuple[Callable[[Columns], Answer], Callable[[], None]]:
    """Prepare the quick way into a pipeline.

    Args:
        first: the step that takes the DataFrame.
        rest: what runs on its output; on the arrays themselves when `first` is the only step and predicts.
        specs: the input columns.
        facts: of all columns that it was fitted on, in their order, which positions count.

    Returns:
        What answers typed columns, and what undoes the changes to the steps when it is not to be used: names that a
        step was fitted with are taken off, because it would ask an array for them.

    Raises:
        NotApplicableError: there is no quick way for such a step.
    """
    blocks = _Blocks(specs, facts)
    if is_splitter(first):
        parts = _parts(first, list(facts), blocks)
        undo = _take_names_off([step for steps, _ in parts for step in steps])

        def answer(inputs: Columns) -> Answer:
            rows = len(inputs[specs[0].name])
            pieces = [_through(steps, cut(inputs)) for steps, cut in parts]
            return rest(first._hstack(pieces, n_samples=rows))

        return answer, undo
    if any(spec.datatype != "FP64" or facts[spec.name].category_values for spec in specs):
        raise NotApplicableError
    cut = blocks.of([spec.name for spec in specs])
    undo = _take_names_off([first])
    return (lambda inputs: rest(cut(inputs))), undo


def _through(steps: Sequence[Any], data: Any) -> Any:
    for step in steps:
        data = step.transform(data)
    return data


def is_splitter(step: Any) -> bool:
    """Whether a step is scikit-learn's own `ColumnTransformer`."""
    return _kind(step) == _COLUMN_TRANSFORMER


def _kind(step: Any) -> str:
    return f"{type(step).__module__}.{type(step).__name__}"


class _Blocks:
    """Cuts typed columns into the arrays that the parts of a `ColumnTransformer` take."""

    def __init__(self, specs: Sequence[TensorSpec], facts: Mapping[str, ColumnFacts]) -> None:
        self._datatypes = {spec.name: spec.datatype for spec in specs}
        self._facts = facts

    def of(self, names: Sequence[str]) -> Callable[[Columns], Array]:
        kinds = {self._datatypes[name] for name in names}
        if kinds == {"FP64"}:
            return lambda inputs: _numbers(inputs, names)
        if kinds == {"BYTES"} and not any(self._facts[name].category_values for name in names):
            missing = [self._facts[name].missing for name in names]
            return lambda inputs: _texts(inputs, names, missing)
        raise NotApplicableError


def _numbers(inputs: Columns, names: Sequence[str]) -> Array:
    # Column by column in memory, as the values of a DataFrame are: sums of another order would differ in the last bit.
    block = np.empty((len(inputs[names[0]]), len(names)), dtype=np.float64, order="F")
    for position, name in enumerate(names):
        block[:, position] = inputs[name]
    return block


def _texts(inputs: Columns, names: Sequence[str], missing: Sequence[Any]) -> Array:
    block = np.empty((len(inputs[names[0]]), len(names)), dtype=object)
    for position, (name, marker) in enumerate(zip(names, missing, strict=True)):
        block[:, position] = [marker if value is None else value for value in inputs[name].tolist()]
    return block


def _parts(splitter: Any, names: list[str], blocks: _Blocks) -> list[tuple[Sequence[Any], Callable[[Columns], Array]]]:
    parts: list[tuple[Sequence[Any], Callable[[Columns], Array]]] = []
    for _, transformer, chosen in splitter.transformers_:
        if isinstance(transformer, str) or isinstance(chosen, str):
            if transformer == "drop":
                continue
            # "passthrough" of old files, and transformers that take one column as a Series.
            raise NotApplicableError
        columns = picked_columns(chosen, names)
        if columns:
            parts.append((list(_simple_steps([transformer])), blocks.of(columns)))
    if not parts or not hasattr(splitter, "_hstack"):
        raise NotApplicableError
    return parts


def _take_names_off(steps: Sequence[Any]) -> Callable[[], None]:
    """Remove `feature_names_in_` from steps and the steps of pipelines among them; return what puts them back.

    Raises:
        NotApplicableError: one of them is not scikit-learn's, has its output set to DataFrames, or hands its input on.
    """
    removed: list[tuple[Any, Any]] = []
    simple = list(_simple_steps(steps))
    for step in simple:
        if "feature_names_in_" in vars(step):
            removed.append((step, step.feature_names_in_))
            del step.feature_names_in_

    def undo() -> None:
        for step, names in removed:
            step.feature_names_in_ = names

    return undo


def _simple_steps(steps: Sequence[Any]) -> Iterator[Any]:
    for step in steps:
        output = getattr(step, "_sklearn_output_config", {}).get("transform", "default")
        if not type(step).__module__.startswith("sklearn.") or output != "default":
            raise NotApplicableError
        if _kind(step) == "sklearn.pipeline.Pipeline":
            yield from _simple_steps([inner for _, inner in step.steps if inner not in (None, "passthrough")])
        elif any(hasattr(step, attribute) for attribute in _PASS_ON) and not _is_forest(step):
            raise NotApplicableError
        else:
            yield step


def _is_forest(step: Any) -> bool:
    # Trees of a forest, and those of gradient boosting, are fitted on arrays: they have no names to miss.
    return _kind(step).startswith(("sklearn.ensemble._forest.", "sklearn.ensemble._gb."))


def is_equal(quick: Callable[[Columns], Answer], ordinary: Callable[[Columns], Answer], trial: Columns) -> bool:
    """Whether two ways give the same answers, or fail alike, on every row of a batch, without a warning."""
    rows = len(next(iter(trial.values())))
    # The first row by itself, then all of them; a part that both refuse is halved to see which rows they refuse.
    waiting = [(0, rows), (0, 1)]
    with warnings.catch_warnings():
        for _ in range(_COMPARISONS):
            if not waiting:
                break
            start, end = waiting.pop()
            inputs = {name: column[start:end] for name, column in trial.items()}
            warnings.simplefilter("ignore")
            expected = _outcome(ordinary, inputs)
            warnings.simplefilter("error", UserWarning)
            if not _is_same(_outcome(quick, inputs), expected):
                return False
            if isinstance(expected, type) and end - start > 1:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]
    return True


def _outcome(way: Callable[[Columns], Answer], inputs: Columns) -> Answer | type[Exception]:
    try:
        return way(inputs)
    except Exception as error:  # noqa: BLE001 (a refusal of these values is an answer to compare, too)
        return type(error)


def _is_same(left: Answer | type[Exception], right: Answer | type[Exception]) -> bool:
    if isinstance(left, type) or isinstance(right, type):
        return left is right
    return all(_is_same_array(one, other) for one, other in zip(left, right, strict=True))


def _is_same_array(one: Array | None, other: Array | None) -> bool:
    if one is None or other is None:
        return one is other
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return is_close(one, other) if one.dtype.kind == "f" else one.tolist() == other.tolist()


def trial_rows(specs: Sequence[TensorSpec], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows, and the first of them with each column varied in turn."""
    base = dict(rows[0])
    varied = [{**base, spec.name: value} for spec in specs for value in _variations(spec)]
    return [*(dict(row) for row in rows), *varied]


def _variations(spec: TensorSpec) -> list[Any]:
    if spec.datatype == "BYTES":
        return [None, "", "\u2014 unknown \u2014", *(spec.categories or ())[:5]]
    if spec.datatype == "BOOL":
        return [True, False]
    return [None, 0.0, -1.5, 1e6, 0.1]
