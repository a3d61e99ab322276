"""CatBoost: models in its own binary format and in JSON, and pickled wrappers that the user trusts."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, ArtifactFiles, Columns, LoadOptions, Model, Recognition, Signature, TensorSpec
from tidegate.runtime.boosters import Classes, labels_from
from tidegate.runtime.catboost_inputs import CatboostInputs
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.pickle_scan import recognise_pickle
from tidegate.runtime.settings import require_known
from tidegate.runtime.unpickle import unpickle

#: A binary model: the mark, the size of the description that follows (uint32, little-endian), the description.
_MARK, _PREFIX = b"CBM1", struct.Struct("<4sI")
_JSON_HEAD = re.compile(rb'\s*\{\s*"(ctr_data|features_info|model_info|oblivious_trees|trees|scale_and_bias)"\s*:')
_JSON_TREES = (b'"oblivious_trees"', b'"trees"')
#: The build's description in a model says from which tag of its sources the writer was built.
_VERSION = re.compile(rb"Branch: tags/v(\d+(?:\.\d+)+)")
_ENDS = 1 << 16
#: JSON up to this size is parsed once to see that it is whole; parsing takes several times its size in memory.
_PARSED_BYTES = 64 << 20
#: Two scores that are closer than this may be in another order before and after the logistic function.
_TIE = 1e-9

_BINARY, _SEVERAL = ("Logloss", "CrossEntropy"), ("MultiClass", "MultiClassOneVsAll")
_LABEL_SETS = ("MultiLogloss", "MultiCrossEntropy")
#: What CatBoost's own wrappers answer for these losses; the raw score for all others.
_KINDS = {"Poisson": "Exponent", "Tweedie": "Exponent", "RMSEWithUncertainty": "RMSEWithUncertainty"}
_Form = Literal["cbm", "json"]


class CatboostRuntime:
    """CatBoost models."""

    name = "catboost"
    packages = ("catboost", "numpy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            return None
        head = files.head(_ENDS)
        if head.startswith(_MARK) and len(head) > _PREFIX.size:
            return Recognition(self.name, "catboost-cbm", _version(files))
        if _JSON_HEAD.match(head) and (b'"features_info"' in head or _ends_as_json(_tail(files))):
            return Recognition(self.name, "catboost-json", _version(files))
        return recognise_pickle(files, self.name)

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        require_known(options.settings, ("labels", "missingText"), self.name)
        limit_threads(options.threads)
        catboost: Any = import_framework("catboost", extra="catboost", what="A CatBoost model")
        found = self.recognise(files)
        if found is not None and found.needs_trust:
            return CatboostModel(catboost, _from_pickle(catboost, unpickle(files, options)), options)
        form: _Form = "json" if found is not None and found.format == "catboost-json" else "cbm"
        try:
            return CatboostModel(catboost, _read(catboost, files, form), options)
        except (catboost.CatBoostError, UnicodeDecodeError) as error:
            raise _damaged(files, error) from error


def _tail(files: ArtifactFiles) -> bytes:
    with files.root.open("rb") as stream:
        stream.seek(max(0, files.root.stat().st_size - _ENDS))
        return stream.read()


def _ends_as_json(tail: bytes) -> bool:
    return b'"scale_and_bias"' in tail and tail.rstrip().endswith(b"}")


def _version(files: ArtifactFiles) -> str | None:
    for part in (files.head(_ENDS * 16), _tail(files)):
        if (found := _VERSION.search(part)) is not None:
            return found.group(1).decode()
    return None


def _read(catboost: Any, files: ArtifactFiles, form: _Form) -> Any:
    try:
        (_require_whole_json if form == "json" else _require_whole_binary)(files)
        return catboost.CatBoost().load_model(str(files.root), format=form)
    except (catboost.CatBoostError, ValueError) as error:
        raise _damaged(files, error) from error


def _damaged(files: ArtifactFiles, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"CatBoost cannot read {files.root.name}: {' '.join(str(error).split())[:300]}.",
        subject=str(files.root),
        hint="The file is damaged or cut short; save it again with model.save_model('model.cbm').",
    )


def _require_whole_binary(files: ArtifactFiles) -> None:
    mark, size = _PREFIX.unpack(files.head(_PREFIX.size).ljust(_PREFIX.size, b"\0"))
    if mark != _MARK or files.root.stat().st_size < _PREFIX.size + size:
        raise ValueError(f"its description should be {size} bytes long and is shorter")


def _require_whole_json(files: ArtifactFiles) -> None:
    # CatBoost itself loads JSON that was cut in the middle, and answers with what is left of it.
    if not _tail(files).rstrip().endswith(b"}"):
        raise ValueError("the JSON is cut short")
    if files.root.stat().st_size > _PARSED_BYTES:
        return
    document = orjson.loads(files.root.read_bytes())
    missing = [name for name in ("features_info", "model_info") if name not in document]
    if missing or not {"oblivious_trees", "trees"} & set(document):
        raise ValueError(f"it lacks {', '.join(missing or ['its trees'])}")


def _from_pickle(catboost: Any, loaded: Any) -> Any:
    if not isinstance(loaded, catboost.CatBoost):
        raise InvalidInput(
            f"The file holds a {type(loaded).__module__}.{type(loaded).__qualname__}.",
            expected="a catboost.CatBoost or one of its scikit-learn wrappers",
        )
    if not loaded.is_fitted():
        raise InvalidInput("The CatBoost model in the file is not fitted.")
    return loaded


class CatboostModel:
    """A CatBoost model. A category that it never saw is taken as CatBoost takes it; a missing one is `missingText`."""

    def __init__(self, catboost: Any, model: Any, options: LoadOptions) -> None:
        self._pool = catboost.Pool
        # The wrappers' own `predict` differ in what they answer by default, and one of them takes no kind of answer.
        self._predict = catboost.CatBoost.predict
        self._model = model
        self._threads = options.threads
        self._inputs = CatboostInputs(model, options)
        self.example = self._inputs.example
        metadata = model.get_metadata()
        self._loss = _loss(metadata)
        # Only the class number knows a limit of the user's own; it is asked for where the probability does not say.
        self._asks_class = "binclass_probability_threshold" in metadata.keys()  # noqa: SIM118 (no dict)
        self._classes = _classes(self._loss, model, options.settings)
        self._positions = {str(label): position for position, label in enumerate(_labels(model))}
        self.signature: Signature = options.signature or self._signature()

    def predict(self, inputs: Columns) -> Columns:
        pool = self._inputs.pool(self._pool, inputs, self._threads)
        if self._classes is not None:
            return self._classified(pool, self._classes)
        if self._loss in _LABEL_SETS:
            return {"prediction": self._run(pool, "Class").astype(np.int64), "scores": self._run(pool, "Probability")}
        return {"prediction": self._run(pool, _KINDS.get(self._loss, "RawFormulaVal"))}

    def close(self) -> None:
        del self._model

    def _run(self, pool: Any, kind: str) -> Array:
        return np.asarray(self._predict(self._model, pool, prediction_type=kind, thread_count=self._threads))

    def _classified(self, pool: Any, classes: Classes) -> Columns:
        outputs = classes.of_each(self._run(pool, "Probability"))
        if self._asks_class or _has_ties(outputs["probabilities"]):
            chosen = [self._positions[str(label)] for label in self._run(pool, "Class").ravel().tolist()]
            outputs["prediction"] = classes.of_each(np.eye(len(self._positions))[chosen])["prediction"]
        return outputs

    def _signature(self) -> Signature:
        if self._classes is not None:
            outputs: tuple[TensorSpec, ...] = self._classes.outputs
        else:
            # How many numbers a row gets is up to the loss; the model says it by its answer.
            answer = self.predict(self._inputs.any_row())
            outputs = tuple(
                TensorSpec(name, "INT64" if values.dtype.kind == "i" else "FP64", (-1, *values.shape[1:]))
                for name, values in answer.items()
            )
        return Signature("tensors" if self._inputs.is_tensor else "columns", self._inputs.specs, outputs)


def _loss(metadata: Any) -> str:
    """Return the name of the loss that the model was trained with, empty when the file does not say."""
    try:
        return str(json.loads(metadata["params"])["loss_function"]["type"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return ""


def _labels(model: Any) -> list[Any]:
    """Return the labels of the classes; two numbers when the file holds none."""
    return np.asarray(model.classes_).tolist() or [0, 1]


def _classes(loss: str, model: Any, settings: Mapping[str, Any]) -> Classes | None:
    if loss not in (*_BINARY, *_SEVERAL):
        return None
    own = np.asarray(_labels(model))
    chosen = labels_from(settings, len(own))
    return Classes(own if chosen is None else chosen, len(own), "FP64")


def _has_ties(probabilities: Array) -> bool:
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    return bool(((best[:, 1] - best[:, 0]) < _TIE).any())
