"""LightGBM: models in its text format, and pickled wrappers that the user trusts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, ArtifactFiles, Columns, LoadOptions, Model, Recognition, Signature, TensorSpec
from tidegate.runtime.boosters import BoosterInputs, Classes, labels_from
from tidegate.runtime.columns import Codes, sample_values
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.lightgbm_trees import engine_of
from tidegate.runtime.pickle_scan import recognise_pickle
from tidegate.runtime.settings import require_known
from tidegate.runtime.trees_engine import or_none
from tidegate.runtime.unpickle import unpickle

_HEAD = re.compile(rb"\s*tree\r?\nversion=v\d+\r?\n")
#: On one thread the engine for trees is faster than LightGBM for any number of rows; with more threads, up to this one
#: (benchmarks/results/engines.md).
FEW_ROWS = 100
#: What LightGBM calls the features of an array.
_UNNAMED = re.compile(r"Column_\d+")


class LightgbmRuntime:
    """LightGBM boosters."""

    name = "lightgbm"
    packages = ("lightgbm", "numpy", "scipy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            return None
        if _HEAD.match(files.head(256)):
            return Recognition(self.name, "lightgbm-text")
        return recognise_pickle(files, self.name)

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        require_known(options.settings, ("labels",), self.name)
        limit_threads(options.threads)
        lightgbm: Any = import_framework("lightgbm", extra="lightgbm", what="A LightGBM model")
        if not _HEAD.match(files.head(256)):
            import_framework("sklearn", extra="sklearn", what="A pickled LightGBM wrapper")
            return _from_pickle(lightgbm, unpickle(files, options), options)
        return LightgbmModel(_read(lightgbm, files), options)


def _read(lightgbm: Any, files: ArtifactFiles) -> Any:
    try:
        text = files.root.read_text(encoding="utf-8")
        return lightgbm.Booster(model_str=_complete(text))
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidInput(
            f"LightGBM cannot read {files.root.name}: {' '.join(str(error).split())[:300]}.",
            subject=str(files.root),
            hint="The file is damaged or cut short; save it again with booster.save_model().",
        ) from error


def _complete(text: str) -> str:
    # LightGBM itself reads a model that was cut between two trees, and answers with what is left of it.
    for mark in ("end of trees", "end of parameters"):
        if f"\n{mark}" not in text:
            raise ValueError(f"the line {mark!r} is missing")
    return text


def _from_pickle(lightgbm: Any, loaded: Any, options: LoadOptions) -> Model:
    if isinstance(loaded, lightgbm.Booster):
        return LightgbmModel(loaded, options)
    if not isinstance(loaded, lightgbm.LGBMModel):
        raise InvalidInput(
            f"The file holds a {type(loaded).__module__}.{type(loaded).__qualname__}.",
            expected="a lightgbm.Booster or one of LightGBM's scikit-learn wrappers",
        )
    try:
        booster = loaded.booster_
    except lightgbm.sklearn.LGBMNotFittedError as error:
        raise InvalidInput("The LightGBM model in the file is not fitted.") from error
    classes = np.asarray(loaded.classes_) if isinstance(loaded, lightgbm.LGBMClassifier) else None
    return LightgbmModel(booster, options, classes=classes)


class LightgbmModel:
    """A booster with its columns. An unknown category counts as missing, as LightGBM has it for DataFrames."""

    def __init__(self, booster: Any, options: LoadOptions, *, classes: Array | None = None) -> None:
        self._booster = booster
        self._threads = options.threads
        names = [str(name) for name in booster.feature_name()]
        named = not all(_UNNAMED.fullmatch(name) for name in names)
        header = _header(booster)
        codes = _codes(names, booster.pandas_categorical or [], header, options)
        self._inputs = BoosterInputs(names if named else None, len(names), codes, np.float64, options.sample)
        self._engine = or_none(lambda: engine_of(booster, self._inputs.coded, options.threads), "The LightGBM model")
        self._score, outputs = _scoring(header.get("objective", ""), header, classes, options.settings)
        self.signature: Signature = options.signature or self._inputs.signature(outputs)
        self.example = self._inputs.example

    def predict(self, inputs: Columns) -> Columns:
        data = self._inputs.matrix(inputs)
        if self._engine is not None and (self._threads == 1 or len(data) <= FEW_ROWS):
            scores = self._engine(data)
        else:
            scores = np.asarray(self._booster.predict(data, num_threads=self._threads))
        outputs: Columns = self._score(scores)
        return outputs

    def close(self) -> None:
        del self._booster, self._engine


def _header(booster: Any) -> dict[str, str]:
    """Return the lines `key=value` before the first tree, and the training parameters behind the last."""
    text = booster.model_to_string(num_iteration=1)
    head = text.partition("\nTree=")[0]
    header = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    found = re.search(r"^\[categorical_feature: ([\d,]*)\]$", text, re.MULTILINE)
    header["categorical_feature"] = found.group(1) if found else ""
    return header


def _codes(
    names: Sequence[str], categories: Sequence[Sequence[Any]], header: Mapping[str, str], options: LoadOptions
) -> dict[str, Codes]:
    """Match the lists of categories, in the order of the DataFrame's categorical columns, with those columns."""
    if not categories:
        return {}
    chosen = [int(index) for index in header["categorical_feature"].split(",") if index]
    owners = [names[index] for index in sorted(chosen) if index < len(names)]
    if len(owners) != len(categories):
        # Ordered categoricals are on record as lists only: the sample rows or the signature tell whose they are.
        owners = _owners_told(names, options)
    if len(owners) != len(categories):
        raise InvalidInput(
            "The LightGBM model does not say which columns its categories belong to.",
            expected=f"{len(categories)} categorical columns",
            got=f"{len(owners)}: {', '.join(owners)}",
            hint="Give a few typical rows with --sample rows.json, text in every categorical column.",
        )
    return {name: Codes(tuple(values), unknown=float("nan")) for name, values in zip(owners, categories, strict=True)}


def _owners_told(names: Sequence[str], options: LoadOptions) -> list[str]:
    if options.signature is not None:
        return [spec.name for spec in options.signature.inputs if spec.datatype == "BYTES"]
    return [name for name in names if any(isinstance(value, str) for value in sample_values(options.sample, name))]


def _scoring(
    objective: str, header: Mapping[str, str], classes: Array | None, settings: Mapping[str, Any]
) -> tuple[Any, tuple[TensorSpec, ...]]:
    kind = objective.split(" ", maxsplit=1)[0]
    count = int(header.get("num_class", "1"))
    if kind == "binary":
        binary = Classes(classes if classes is not None else labels_from(settings, 2), 2, "FP64")
        return binary.of_positive, binary.outputs
    if kind in ("multiclass", "multiclassova"):
        several = Classes(classes if classes is not None else labels_from(settings, count), count, "FP64")
        return several.of_each, several.outputs
    outputs = int(header.get("num_tree_per_iteration", "1"))
    shape = (-1,) if outputs == 1 else (-1, outputs)
    return (lambda scores: {"prediction": scores}), (TensorSpec("prediction", "FP64", shape),)
