"""Typed columns to what CatBoost takes: one matrix, float32 where all features are numbers, objects otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput, ValueRefused
from tidegate.runtime.base import NUMPY_DTYPES, Array, Columns, Datatype, LoadOptions, TensorSpec
from tidegate.runtime.boosters import TENSOR_INPUT
from tidegate.runtime.columns import datatype_from_sample, sample_values


class CatboostInputs:
    """The inputs of a CatBoost model.

    Args:
        model: the loaded model.
        options: `sample` says which categories are whole numbers and which columns are true or false,
            `settings["missingText"]` what stands for a missing category.

    Raises:
        InvalidInput: the model takes embeddings, which no row has.
    """

    def __init__(self, model: Any, options: LoadOptions) -> None:
        names = [str(name) for name in model.feature_names_]
        self._categories = list(model.get_cat_feature_indices())
        self._texts = list(model.get_text_feature_indices())
        if embeddings := list(model.get_embedding_feature_indices()):
            raise InvalidInput(
                "The CatBoost model takes embeddings, which cannot be served yet.",
                expected="numbers, categories and texts",
                got=", ".join(names[index] for index in embeddings[:10]),
            )
        self._names, self._width = names, len(names)
        self._words = {*self._categories, *self._texts}
        self._missing = options.settings.get("missingText")
        if self._missing is not None and not isinstance(self._missing, str):
            raise InvalidInput(
                "The text that stands for a missing category is no text.",
                subject="modelArtifact.settings.missingText",
                expected='e.g. "nan", as the model was trained with',
                got=str(self._missing)[:100],
            )
        unnamed = names == [str(index) for index in range(len(names))]
        #: True when it was trained on an array of numbers: one tensor instead of columns.
        self.is_tensor = unnamed and not self._words
        if self.is_tensor:
            self.specs: tuple[TensorSpec, ...] = (TensorSpec(TENSOR_INPUT, "FP64", (-1, self._width)),)
        else:
            self.specs = tuple(TensorSpec(name, self._type(index, options)) for index, name in enumerate(names))
        self.example: dict[str, Any] = {}

    def _type(self, index: int, options: LoadOptions) -> Datatype:
        name = self._names[index]
        if options.signature is not None:
            return next(spec.datatype for spec in options.signature.inputs if spec.name == name)
        values = sample_values(options.sample, name)
        if index not in self._texts and datatype_from_sample(values) == "BOOL":
            return "BOOL"
        if index not in self._words:
            return "FP64"
        whole = bool(values) and all(type(value) is int for value in values)
        return "INT64" if whole and index in self._categories else "BYTES"

    def any_row(self) -> Columns:
        """Return one row of ones and empty texts."""
        if self.is_tensor:
            return {TENSOR_INPUT: np.ones((1, self._width))}
        words = {spec.name: np.ones(1, NUMPY_DTYPES[spec.datatype]) for spec in self.specs}
        return {**words, **{spec.name: np.array([""], dtype=object) for spec in self.specs if spec.datatype == "BYTES"}}

    def pool(self, kind: Any, inputs: Columns, threads: int) -> Any:
        """Return a `catboost.Pool` of the rows.

        Raises:
            ValueRefused: a category is missing and nobody said what stands for it.
        """
        if self.is_tensor:
            return kind(_float32(inputs[TENSOR_INPUT]), thread_count=threads)
        dtype: Any = object if self._words else np.float32
        rows: Array = np.empty((len(inputs[self._names[0]]), self._width), dtype=dtype)
        with np.errstate(over="ignore"):
            for index, name in enumerate(self._names):
                rows[:, index] = self._known(name, inputs[name]) if index in self._words else inputs[name]
        return kind(
            rows,
            cat_features=self._categories or None,
            text_features=self._texts or None,
            thread_count=threads,
        )

    def _known(self, name: str, column: Array) -> Array:
        if column.dtype.kind != "O" or None not in (values := column.tolist()):
            return column
        if self._missing is None:
            row = values.index(None)
            raise ValueRefused(
                f"field {name!r}, row {row}: CatBoost has no missing category",
                subject=f"{name}[{row}]",
                expected="a category",
                got="null",
                hint="If missing values were replaced by a text before the training, name it: "
                'modelArtifact.settings.missingText, e.g. "nan".',
            )
        return np.array([self._missing if value is None else value for value in values], dtype=object)


def _float32(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)
