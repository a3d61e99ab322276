"""XGBoost: models in JSON and UBJSON, and pickled wrappers that the user trusts."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, ArtifactFiles, Columns, LoadOptions, Model, Recognition, Signature, TensorSpec
from tidegate.runtime.boosters import BoosterInputs, Classes, labels_from
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.pickle_scan import recognise_pickle
from tidegate.runtime.settings import require_known
from tidegate.runtime.trees_engine import Scores, or_none
from tidegate.runtime.ubjson import find_value
from tidegate.runtime.unpickle import unpickle
from tidegate.runtime.xgboost_categories import category_codes
from tidegate.runtime.xgboost_native import native_scores
from tidegate.runtime.xgboost_trees import engine_of

_JSON_HEAD = re.compile(rb'\s*\{\s*"(learner|version|Config)"\s*:')
_JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]')
_UBJ_HEAD = re.compile(rb"\{L\0{7}[\x07\x06](learner|version|Config)[\[{]")
_LEGACY_NAMES = (b"gbtree", b"gblinear", b"dart")
_ENDS = 1 << 16
#: Up to so many rows the engine for trees is faster than XGBoost itself (benchmarks/results/engines.md).
FEW_ROWS = 24
#: JSON up to this size is parsed once to see that it is whole; parsing takes several times its size in memory.
_PARSED_BYTES = 64 << 20


class XgboostRuntime:
    """XGBoost boosters."""

    name = "xgboost"
    packages = ("xgboost-cpu", "xgboost", "numpy", "scipy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            return None
        head = files.head(_ENDS)
        if _UBJ_HEAD.match(head):
            return Recognition(self.name, "xgboost-ubj", _ubj_version(files))
        if _JSON_HEAD.match(head) and (b'"learner"' in head or b'"learner"' in _tail(files)):
            return Recognition(self.name, "xgboost-json", _json_version(files))
        if _is_legacy(head):
            return Recognition(self.name, "xgboost-binary")
        return recognise_pickle(files, self.name)

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        found = self.recognise(files)
        if found is not None and found.format == "xgboost-binary":
            raise InvalidInput(
                f"{files.root.name} is in XGBoost's old binary format, which XGBoost itself no longer reads.",
                subject=str(files.root),
                expected="JSON or UBJSON",
                hint="Load it with xgboost 3.0 or older and save it with booster.save_model('model.json').",
            )
        require_known(options.settings, ("labels", "categories"), self.name)
        limit_threads(options.threads)
        xgboost: Any = import_framework("xgboost", extra="xgboost", what="An XGBoost model")
        if found is not None and found.needs_trust:
            import_framework("sklearn", extra="sklearn", what="A pickled XGBoost wrapper")
            return _from_pickle(xgboost, unpickle(files, options), options)
        booster = _read(xgboost, files, is_new=options.signature is None)
        return XgboostModel(xgboost, booster, options, wrapped=booster.attr("scikit_learn") is not None)


def _tail(files: ArtifactFiles) -> bytes:
    with files.root.open("rb") as stream:
        stream.seek(max(0, files.root.stat().st_size - _ENDS))
        return stream.read()


def _json_version(files: ArtifactFiles) -> str | None:
    found = list(_JSON_VERSION.finditer(files.head(_ENDS))) + list(_JSON_VERSION.finditer(_tail(files)))
    return ".".join(part.decode() for part in found[-1].groups()) if found else None


def _ubj_version(files: ArtifactFiles) -> str | None:
    try:
        parts = find_value(_tail(files), "version", b"[")
    except ValueError:
        return None
    return ".".join(str(part) for part in parts) if isinstance(parts, list) and len(parts) == 3 else None


def _is_legacy(head: bytes) -> bool:
    """Whether this is `LearnerModelParamLegacy` (136 bytes, base score first) with the names that follow it."""
    body = head[4:] if head.startswith(b"binf") else head
    if len(body) < 160 or not any(name in body[136:400] for name in _LEGACY_NAMES):
        return False
    (base_score,) = struct.unpack_from("<f", body)
    return head.startswith(b"binf") or bool(np.isfinite(base_score) and abs(base_score) < 1e9)


def _read(xgboost: Any, files: ArtifactFiles, *, is_new: bool) -> Any:
    content = files.root.read_bytes()
    try:
        if is_new:
            _check_complete(content)
        # From memory: for a path XGBoost goes by the extension, which may lie.
        return xgboost.Booster(model_file=bytearray(content))
    except (xgboost.core.XGBoostError, UnicodeDecodeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split("Stack trace")[0].split())[:300].rstrip(".") + "."
        raise InvalidInput(
            f"XGBoost cannot read {files.root.name}: {reason}",
            subject=str(files.root),
            hint="The file is damaged or cut short; save it again with booster.save_model().",
        ) from error


def _check_complete(content: bytes) -> None:
    """Check that a file was not cut short: XGBoost's own reader runs past the end of JSON and can crash.

    Raises:
        ValueError: it was.
    """
    if not content.rstrip().endswith(b"}"):
        raise ValueError("the file ends too early")
    if _JSON_HEAD.match(content) and len(content) <= _PARSED_BYTES:
        orjson.loads(content)


def _from_pickle(xgboost: Any, loaded: Any, options: LoadOptions) -> Model:
    if isinstance(loaded, xgboost.Booster):
        return XgboostModel(xgboost, loaded, options)
    if not isinstance(loaded, xgboost.XGBModel):
        raise InvalidInput(
            f"The file holds a {type(loaded).__module__}.{type(loaded).__qualname__}.",
            expected="an xgboost.Booster or one of XGBoost's scikit-learn wrappers",
        )
    try:
        booster = loaded.get_booster()
    except Exception as error:
        raise InvalidInput("The XGBoost model in the file is not fitted.") from error
    classes = getattr(loaded, "classes_", None) if isinstance(loaded, xgboost.XGBClassifier) else None
    return XgboostModel(xgboost, booster, options, wrapped=True, missing=loaded.missing, classes=classes)


class XgboostModel:
    """A booster with its columns.

    Text categories become the codes that the model itself has on record; a category that it never saw gets a code that
    no split chooses (XGBoost's tutorial "Categorical Data", Miscellaneous).
    """

    def __init__(
        self,
        xgboost: Any,
        booster: Any,
        options: LoadOptions,
        *,
        wrapped: bool = False,
        missing: float = float("nan"),
        classes: Array | None = None,
    ) -> None:
        self._xgboost, self._booster = xgboost, booster
        self._missing = missing
        # After early stopping a bare booster answers with all its trees, the scikit-learn wrapper with the best number.
        best = booster.attr("best_iteration") if wrapped else None
        self._iterations = (0, 0) if best is None else (0, int(best) + 1)
        learner = json.loads(booster.save_config())["learner"]
        # What the framework's own `predict` does: the wrapper predicts in place wherever there are trees, a bare
        # booster through a DMatrix, which for DART sums in another order.
        kind = learner["gradient_booster"]["name"]
        self._in_place = kind == "gbtree" or (wrapped and kind != "gblinear")
        objective = str(learner["objective"]["name"])
        if objective == "multi:softmax":
            # The same scores, before XGBoost throws all but the highest away.
            booster.set_param({"objective": "multi:softprob"})
        booster.set_param({"nthread": options.threads})
        # XGBoost turns every number into a float32 first thing.
        self._inputs = BoosterInputs(
            booster.feature_names,
            booster.num_features(),
            category_codes(booster, options.settings),
            np.float32,
            options.sample,
        )
        self._few, self._many = self._engines() if self._in_place else (None, None)
        self._score, outputs = _scoring(objective, learner["learner_model_param"], classes, options.settings)
        self.signature: Signature = options.signature or self._inputs.signature(outputs)
        self.example = self._inputs.example

    def _engines(self) -> tuple[Scores | None, Scores | None]:
        booster, iterations, coded = self._booster, self._iterations, self._inputs.coded
        few = or_none(lambda: engine_of(booster, iterations, coded), "The XGBoost model")
        return few, or_none(lambda: native_scores(self._xgboost, booster, iterations), "The XGBoost model")

    def predict(self, inputs: Columns) -> Columns:
        outputs: Columns = self._score(self._scores(self._inputs.matrix(inputs)))
        return outputs

    def _scores(self, data: Array) -> Array:
        if not np.isnan(self._missing):
            # XGBoost takes both for missing, NaN and what stands for it in this model.
            data = np.where(data == np.float32(self._missing), np.float32(np.nan), data)
        engine = self._few if len(data) <= FEW_ROWS else None
        engine = engine or self._many
        if engine is not None:
            return engine(data)
        if self._in_place:
            scores = self._booster.inplace_predict(data, iteration_range=self._iterations, validate_features=False)
        else:
            frame = self._xgboost.DMatrix(
                data,
                feature_names=self._booster.feature_names,
                feature_types=self._booster.feature_types,
            )
            scores = self._booster.predict(frame, iteration_range=self._iterations)
        return np.asarray(scores)

    def close(self) -> None:
        del self._booster, self._few, self._many


def _scoring(
    objective: str, parameters: Mapping[str, str], classes: Array | None, settings: Mapping[str, Any]
) -> tuple[Any, tuple[TensorSpec, ...]]:
    """Return what makes outputs of XGBoost's scores, and the outputs' specifications."""
    targets, count = int(parameters.get("num_target", "1")), int(parameters["num_class"])
    if objective == "binary:logistic" and targets == 1:
        binary = Classes(classes if classes is not None else labels_from(settings, 2), 2, "FP32")
        return binary.of_positive, binary.outputs
    if objective in ("multi:softprob", "multi:softmax"):
        several = Classes(classes if classes is not None else labels_from(settings, count), count, "FP32")
        return several.of_each, several.outputs
    shape = (-1,) if targets == 1 else (-1, targets)
    return (lambda scores: {"prediction": scores}), (TensorSpec("prediction", "FP32", shape),)
