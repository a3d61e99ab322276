"""Models with the interface of scikit-learn, whoever wrote them: `predict`, and for classifiers `predict_proba`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.array_path import NotApplicableError, is_equal, is_splitter, quick_way, trial_rows
from tidegate.runtime.base import Array, Columns, Datatype, LoadOptions, Signature, TensorSpec
from tidegate.runtime.column_plan import ColumnPlan
from tidegate.runtime.columns import datatype_from_sample, sample_values
from tidegate.runtime.frames import FrameBuilder
from tidegate.runtime.introspect import (
    ColumnFacts,
    column_facts,
    feature_count,
    feature_names,
    takes_one_text,
    used_names,
)
from tidegate.runtime.refused_values import REFUSALS, refused_otherwise, refused_value
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.sklearn_answers import Answer, Final, RefusedError
from tidegate.runtime.sklearn_engines import final_engine, own_encoder
from tidegate.runtime.trees_engine import or_none

#: The name of the only input of a model that was fitted on an array, or on a list of texts.
TENSOR_INPUT, TEXT_INPUT = "input", "text"

#: Classifiers whose `predict` is, in their own source, the class with the highest `predict_proba`: one pass, not two.
_HIGHEST_PROBABILITY = {
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.ExtraTreesClassifier",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.ExtraTreeClassifier",
    "sklearn.ensemble._bagging.BaggingClassifier",
}

Prepare = Callable[[Columns], Any]


@dataclass(frozen=True)
class _Steps:
    """How to run an estimator: transform, then ask the last step for labels and for probabilities.

    `engine` answers for the last step where it can, None leaves everything to the step itself.
    """

    transforms: Sequence[Any]
    final: Any
    engine: Final | None = None

    def __call__(self, data: Any) -> Answer:
        for step in self.transforms:
            data = step.transform(data)
        if self.engine is not None:
            try:
                return self.engine(data)
            except RefusedError:
                pass
        return self._own_answer(data)

    def _own_answer(self, data: Any) -> Answer:
        if not hasattr(self.final, "classes_") or not hasattr(self.final, "predict_proba"):
            return np.asarray(self.final.predict(data)), None
        probabilities = self.final.predict_proba(data)
        if isinstance(probabilities, list):  # one array per output of a model with several outputs
            return np.asarray(self.final.predict(data)), None
        kind = f"{type(self.final).__module__}.{type(self.final).__name__}"
        if kind in _HIGHEST_PROBABILITY:
            return self.final.classes_.take(np.argmax(probabilities, axis=1), axis=0), probabilities
        return np.asarray(self.final.predict(data)), np.asarray(probabilities)


def _steps_of(estimator: Any) -> _Steps:
    """Take a plain scikit-learn pipeline apart, so that a row is transformed once for labels and probabilities."""
    module = type(estimator).__module__
    if module != "sklearn.pipeline" or type(estimator).__name__ != "Pipeline":
        return _Steps((), estimator)
    *transforms, final = [step for _, step in estimator.steps]
    inner = _steps_of(final)
    kept = [step for step in transforms if step is not None and step != "passthrough"]
    return _Steps([*kept, *inner.transforms], inner.final)


class EstimatorModel:
    """A loaded estimator. `example` is one row, as JSON values, that its own records say it accepts."""

    def __init__(
        self, estimator: Any, signature: Signature, prepare: Prepare, example: Mapping[str, Any], *, threads: int = 1
    ) -> None:
        self.steps = _steps_of(estimator)
        self._prepare = prepare
        final = self.steps.final
        engine = or_none(lambda: final_engine(final, threads), "The scikit-learn model")
        self._encoder, self._encoded = own_encoder(final), engine
        self._quick_steps = replace(self.steps, engine=engine if self._encoder is None else None)
        self._answer: Callable[[Columns], Answer] = self._step_by_step
        self.signature = signature
        self.example = example

    def hasten(self, facts: Mapping[str, ColumnFacts], sample: Sequence[Mapping[str, Any]] | None) -> None:
        """Take a quicker way from columns to answers from now on if there is one and it answers the same."""
        specs = self.signature.inputs
        rows = list(sample or ())[:5] or [made_up_row(specs, self.example)]
        trial = inputs_from_rows(specs, trial_rows(specs, rows))
        for make in (self._planned_way, self._way_of_arrays):
            try:
                quick, undo = make(facts)
            except NotApplicableError:
                continue
            if is_equal(quick, self._ordinary_way, trial):
                self._answer = quick
                return
            undo()

    def _planned_way(self, facts: Mapping[str, ColumnFacts]) -> tuple[Callable[[Columns], Answer], Callable[[], None]]:
        specs, steps = self.signature.inputs, self._quick_steps
        splitter = steps.transforms[0] if steps.transforms else self._encoder
        if not is_splitter(splitter):
            raise NotApplicableError
        plan = ColumnPlan(splitter, specs, facts, order=self._order_of(splitter))
        rest = replace(steps, transforms=steps.transforms[1:]) if steps.transforms else self._encoded
        if rest is None:
            raise NotApplicableError

        def answer(inputs: Columns) -> Answer:
            try:
                return rest(plan(inputs))
            except RefusedError:
                return self._ordinary_way(inputs)

        return answer, _nothing

    def _way_of_arrays(
        self, facts: Mapping[str, ColumnFacts]
    ) -> tuple[Callable[[Columns], Answer], Callable[[], None]]:
        steps = self._quick_steps
        first, rest = (
            (steps.transforms[0], replace(steps, transforms=steps.transforms[1:]))
            if steps.transforms
            else (steps.final, steps)
        )
        run = rest if first is steps.final or is_splitter(first) else steps
        return quick_way(first, run, self.signature.inputs, facts)

    def _order_of(self, splitter: Any) -> Literal["C", "F"]:
        """Return how a transformer lays out its answer in memory, since a linear model's last bit depends on it."""
        row = made_up_row(self.signature.inputs, self.example)
        try:
            answer = splitter.transform(self._prepare(inputs_from_rows(self.signature.inputs, [row] * 2)))
        except (TypeError, ValueError):
            return "C"
        flags = getattr(answer, "flags", None)
        return "F" if flags is not None and flags.f_contiguous and not flags.c_contiguous else "C"

    def _step_by_step(self, inputs: Columns) -> Answer:
        return self._quick_steps(self._prepare(inputs))

    def _ordinary_way(self, inputs: Columns) -> Answer:
        return self.steps(self._prepare(inputs))

    def predict(self, inputs: Columns) -> Columns:
        try:
            labels, probabilities = self._answer(inputs)
        except REFUSALS as error:
            raise self._refusal(error, inputs) or error from None
        outputs = {self.signature.outputs[0].name: _typed(labels, self.signature.outputs[0].datatype)}
        if len(self.signature.outputs) > 1 and probabilities is not None:
            outputs[self.signature.outputs[1].name] = probabilities
        return outputs

    def _refusal(self, error: Exception, inputs: Columns) -> InvalidInput | None:
        specs = self.signature.inputs
        refused = refused_value(self._answer, specs, inputs, self.example)
        if refused is not None:
            return refused
        trial = inputs_from_rows(specs, [made_up_row(specs, self.example)])
        return refused_otherwise(error, self._answer, trial)

    def close(self) -> None:
        del self.steps, self._quick_steps, self._encoded, self._answer


def _nothing() -> None:
    pass


def _typed(values: Array, datatype: Datatype) -> Array:
    if datatype == "BYTES":
        listed = values.ravel().tolist()
        texts = np.array([value if isinstance(value, str) else str(value) for value in listed], dtype=object)
        return texts.reshape(values.shape)
    if datatype == "INT64":
        return values.astype(np.int64, copy=False)
    return values


def load_estimator(
    estimator: Any, options: LoadOptions, facts: Mapping[str, ColumnFacts] | None = None
) -> EstimatorModel:
    """Return the model around a fitted estimator.

    Args:
        estimator: the object from the file.
        options: as in `Runtime.load`.
        facts: what the framework's own module knows about all columns that it was fitted on, in their order; None to
            read it from the estimator.

    Raises:
        InvalidInput: the object is no fitted model, or its columns cannot be typed without a sample.
    """
    if not callable(getattr(estimator, "predict", None)):
        raise InvalidInput(
            f"The file holds a {type(estimator).__module__}.{type(estimator).__qualname__}, which cannot predict.",
            expected="a fitted estimator or pipeline with a `predict` method",
            hint="Save the model itself, or the whole pipeline.",
        )
    _use_threads(estimator, options.threads)
    names = feature_names(estimator)
    if names is not None:
        known = facts if facts is not None else column_facts(estimator, names)
        return _with_columns(estimator, names, known, options)
    if takes_one_text(estimator):
        spec = TensorSpec(TEXT_INPUT, "BYTES")
        return _finish(estimator, "columns", (spec,), lambda inputs: _texts(inputs[TEXT_INPUT]), options, {})
    width = feature_count(estimator)
    spec = TensorSpec(TENSOR_INPUT, "FP64", (-1, width if width is not None else -1))
    return _finish(estimator, "tensors", (spec,), lambda inputs: inputs[TENSOR_INPUT], options, {})


def _texts(column: Array) -> list[str]:
    return ["" if value is None else value for value in column.tolist()]


def _use_threads(estimator: Any, threads: int) -> None:
    """Lower every `n_jobs` in the estimator to what the replica was given; one that was lower stays as it is."""
    try:
        parameters = estimator.get_params(deep=True)
    except (AttributeError, TypeError, ValueError):
        return
    lowered = {
        name: threads
        for name, value in parameters.items()
        if (name == "n_jobs" or name.endswith("__n_jobs")) and isinstance(value, int) and (value < 0 or value > threads)
    }
    if lowered:
        estimator.set_params(**lowered)
    inner = getattr(estimator, "best_estimator_", None)
    if inner is not None:
        _use_threads(inner, threads)


def _with_columns(
    estimator: Any, names: Sequence[str], facts: Mapping[str, ColumnFacts], options: LoadOptions
) -> EstimatorModel:
    if options.signature is not None:
        return _columns_model(estimator, options.signature.inputs, facts, options)
    names = used_names(estimator, names)
    undecided = [name for name in names if facts[name].is_text is None and not sample_values(options.sample, name)]
    try:
        return _columns_model(estimator, _specs(names, facts, options, "FP64"), facts, options)
    except InvalidInput as first:
        if not undecided:
            raise
        try:
            return _columns_model(estimator, _specs(names, facts, options, "BYTES"), facts, options)
        except InvalidInput:
            raise InvalidInput(
                f"The model does not say what its columns {', '.join(undecided[:5])} hold, and neither numbers nor "
                f"text in all of them work.",
                got=first.got or first.message,
                hint="Give a few typical rows with --sample rows.json (or .csv).",
            ) from first


def _specs(
    names: Sequence[str], facts: Mapping[str, ColumnFacts], options: LoadOptions, otherwise: Datatype
) -> tuple[TensorSpec, ...]:
    specs = []
    for name in names:
        fact = facts[name]
        if fact.is_text is None:
            datatype = datatype_from_sample(sample_values(options.sample, name)) or otherwise
        else:
            datatype = "BYTES" if fact.is_text else "FP64"
        specs.append(TensorSpec(name, datatype, categories=fact.categories if datatype == "BYTES" else None))
    return tuple(specs)


def _columns_model(
    estimator: Any, specs: tuple[TensorSpec, ...], facts: Mapping[str, ColumnFacts], options: LoadOptions
) -> EstimatorModel:
    example = {spec.name: facts[spec.name].example for spec in specs if facts[spec.name].example is not None}
    model = _finish(estimator, "columns", specs, FrameBuilder(specs, facts), options, example)
    model.hasten(facts, options.sample)
    return model


def _finish(  # noqa: PLR0917
    estimator: Any,
    kind: Any,
    inputs: tuple[TensorSpec, ...],
    prepare: Prepare,
    options: LoadOptions,
    example: Mapping[str, Any],
) -> EstimatorModel:
    if options.signature is not None:
        return EstimatorModel(estimator, options.signature, prepare, example, threads=options.threads)
    rows = list(options.sample[:2]) if options.sample else [made_up_row(inputs, example)]
    try:
        labels, probabilities = _steps_of(estimator)(prepare(inputs_from_rows(inputs, rows)))
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            "The model fails on a sample row." if options.sample else "The model fails on a made-up row.",
            got=" ".join(f"{type(error).__name__}: {error}".split())[:500],
            hint=None if options.sample else "Give a few typical rows with --sample rows.json (or .csv).",
        ) from error
    outputs = _outputs(_steps_of(estimator).final, labels, probabilities)
    return EstimatorModel(estimator, Signature(kind, inputs, outputs), prepare, example, threads=options.threads)


def _outputs(final: Any, labels: Array, probabilities: Array | None) -> tuple[TensorSpec, ...]:
    shape = (-1, *labels.shape[1:])
    first = TensorSpec("prediction", _datatype_of(labels), shape)
    if probabilities is None:
        return (first,)
    classes = getattr(final, "classes_", None)
    known = isinstance(classes, np.ndarray) and len(classes) == probabilities.shape[1]
    named = tuple(str(value) for value in classes.tolist()) if known and classes is not None else None
    return (first, TensorSpec("probabilities", _datatype_of(probabilities), (-1, probabilities.shape[1]), labels=named))


def _datatype_of(values: Array) -> Datatype:
    if values.dtype.kind == "f":
        return "FP32" if values.dtype == np.float32 else "FP64"
    return {"i": "INT64", "u": "INT64", "b": "BOOL"}.get(values.dtype.kind, "BYTES")  # type: ignore[return-value]
