"""The models and, for each, every way to run it: from a float64 matrix (or typed columns) to scores."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.mojo.models import trained
from benchmarks.serving.environments import EnvironmentFailedError
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.lightgbm_trees import engine_of as lightgbm_engine
from tidegate.runtime.mojo.forests import GbmScorer
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.sklearn_engines import FEW_ROWS, final_engine
from tidegate.runtime.trees import LESS, Forest
from tidegate.runtime.xgboost_native import native_scores
from tidegate.runtime.xgboost_trees import engine_of as xgboost_engine

ROWS, FEATURES, TREES, SEED = 10_000, 20, 200, 20261123
CATEGORY = 3
Array = Any
Way = Callable[[Any], Array]


@dataclass(frozen=True)
class Contest:
    """One model: `ways` by name, the framework's own first; `data` for all of them, `cut` takes rows of it."""

    model: str
    data: Any
    ways: Mapping[str, Way | str]
    cut: Callable[[Any, int, int], Any] = lambda data, start, end: data[start:end].copy()


def numbers() -> tuple[Array, Array]:
    rng = np.random.default_rng(SEED)
    matrix = rng.normal(size=(ROWS, FEATURES))
    target = matrix[:, 0] * matrix[:, 1] + matrix[:, 2:6].sum(axis=1) + rng.normal(size=ROWS) > 0
    matrix[rng.random(matrix.shape) < 0.05] = np.nan
    return matrix, target.astype(np.int64)


def with_codes(matrix: Array) -> Array:
    """Return the matrix with codes of 40 categories, some missing, in one column."""
    coded = matrix.copy()
    coded[:, CATEGORY] = np.random.default_rng(SEED).integers(0, 40, len(matrix))
    coded[::17, CATEGORY] = np.nan
    return coded


def unknown_codes(coded: Array) -> Array:
    asked = coded.copy()
    asked[::50, CATEGORY] = 99
    return asked


def attempt(make: Callable[[], Way]) -> Way | str:
    """Return a way, or why there is none."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 (whatever a converter raises is a line of the report)
        return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"


def treelite(load: Callable[[Any], Any], dtype: Any) -> Callable[[], Way]:
    def make() -> Way:
        import treelite

        model = load(treelite)
        return lambda matrix: treelite.gtil.predict(model, matrix.astype(dtype), nthread=1).squeeze(axis=1)

    return make


def onnx(convert: Callable[[], Any]) -> Callable[[], Way]:
    def make() -> Way:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        document = convert().SerializeToString()
        session = onnxruntime.InferenceSession(document, options, providers=["CPUExecutionProvider"])
        given, answer = session.get_inputs()[0].name, session.get_outputs()[-1].name
        return lambda matrix: session.run([answer], {given: matrix.astype(np.float32)})[0]

    return make


def xgboost_contest(categorical: bool) -> Contest:
    import xgboost

    matrix, target = numbers()
    if categorical:
        matrix = with_codes(matrix)
    kinds = ["c" if categorical and column == CATEGORY else "q" for column in range(FEATURES)]
    data = xgboost.DMatrix(matrix, target, feature_types=kinds, enable_categorical=True)
    parameters = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "nthread": 1}
    booster = xgboost.train(parameters, data, TREES)
    booster.set_param({"nthread": 1})

    def converted() -> Any:
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType

        return convert_xgboost(booster, initial_types=[("x", FloatTensorType([None, FEATURES]))])

    native = native_scores(xgboost, booster, (0, 0))
    engine = xgboost_engine(booster, (0, 0), frozenset())
    ways = {
        "framework": lambda rows: booster.inplace_predict(rows, validate_features=False),
        "its C API": lambda rows: native(rows.astype(np.float32)),
        "Treelite GTIL": attempt(treelite(lambda module: module.frontend.from_xgboost(booster), np.float32)),
        "ONNX Runtime, converter's graph": attempt(onnx(converted)),
        "ONNX Runtime, Tidegate's graph": lambda rows: engine(rows.astype(np.float32)),
    }
    name = f"XGBoost, {TREES} trees of depth 6" + (", a categorical column" if categorical else "")
    return Contest(name, unknown_codes(matrix) if categorical else matrix, ways)


def lightgbm_contest(categorical: bool) -> Contest:
    import lightgbm

    matrix, target = numbers()
    if categorical:
        matrix = with_codes(matrix)
    data = lightgbm.Dataset(matrix, target, categorical_feature=[CATEGORY] if categorical else [])
    parameters = {"objective": "binary", "num_leaves": 31, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(parameters, data, TREES)

    def converted() -> Any:
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType

        return convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, FEATURES]))], zipmap=False)

    ways = {
        "framework": lambda rows: booster.predict(rows, num_threads=1),
        "its C API": attempt(lambda: lightgbm_row_api(booster)),
        "Treelite GTIL": attempt(treelite(lambda module: module.frontend.from_lightgbm(booster), np.float64)),
        "ONNX Runtime, converter's graph": attempt(onnx(converted)),
        "ONNX Runtime, Tidegate's graph": lightgbm_engine(booster, frozenset(), 1),
    }
    name = f"LightGBM, {TREES} trees of 31 leaves" + (", a categorical column" if categorical else "")
    return Contest(name, unknown_codes(matrix) if categorical else matrix, ways)


def lightgbm_row_api(booster: Any) -> Way:
    """Return `LGBM_BoosterPredictForMatSingleRowFast`, row by row: LightGBM's fastest way for one row."""
    import lightgbm

    library = lightgbm.basic._LIB
    config, found = ctypes.c_void_p(), ctypes.c_int64()
    assert not library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, 0, 0, 0, 1, FEATURES, b"num_threads=1", ctypes.byref(config)
    )

    def way(rows: Array) -> Array:
        answers = np.empty(len(rows))
        start, out = rows.ctypes.data, answers.ctypes.data
        for row in range(len(rows)):
            library.LGBM_BoosterPredictForMatSingleRowFast(
                config,
                ctypes.c_void_p(start + row * rows.strides[0]),
                ctypes.byref(found),
                ctypes.cast(out + row * 8, ctypes.POINTER(ctypes.c_double)),
            )
        return answers

    return way


def sklearn_contest(name: str, model: Any, *, missing: bool) -> Contest:
    matrix, target = numbers()
    if not missing:
        matrix = np.nan_to_num(matrix)
    model.fit(matrix[:5000], target[:5000])

    def converted() -> Any:
        from skl2onnx import to_onnx

        return to_onnx(model, matrix[:1].astype(np.float32), options={"zipmap": False})

    engine = final_engine(model)

    def quick(rows: Array) -> Array:
        # Above so many rows the runtime leaves them to scikit-learn; here it shows why.
        return np.concatenate([engine(rows[row : row + FEW_ROWS])[1] for row in range(0, len(rows), FEW_ROWS)])

    ways = {
        "framework": model.predict_proba,
        "Treelite GTIL": attempt(treelite(lambda module: module.sklearn.import_model(model), np.float64)),
        "ONNX Runtime, converter's graph": attempt(onnx(converted)),
        "ONNX Runtime, Tidegate's graph": quick,
    }
    return Contest(name, matrix, ways)


def h2o_contest() -> Contest:
    """Boosted trees that H2O trained, with columns of 1,500, 300 and 12 levels, on the numeric rows of its MOJO."""
    from tidegate import mojo
    from tidegate.runtime.mojo.onnx_export.forests import forest_of
    from tidegate.runtime.trees_engine import sums_engine

    name = "H2O, gradient boosting, 300 trees of depth 6, 1,500 levels"
    try:
        folder = trained(["gbm"])
    except (EnvironmentFailedError, subprocess.CalledProcessError, OSError) as error:
        return Contest(name, np.empty((ROWS, 0)), {"Tidegate's kernels": f"H2O cannot train here: {error}"[:160]})
    model = mojo.load(folder / "gbm.zip")
    table = pd.read_csv(
        folder / "events.csv", dtype={spec.name: str for spec in model.signature.inputs if spec.categories}
    )
    matrix, _ = model.rows({column: table[column].tolist() for column in table}, len(table), Policy())
    scorer = model.scorer
    assert isinstance(scorer, GbmScorer)
    # All trees add to one sum here, which begins as the model's does.
    trees = [replace(tree, target=0) for tree in forest_of(scorer.model).trees]
    forest = Forest(matrix.shape[1], np.dtype(np.float64), trees, np.array([scorer.start]))
    sums = sums_engine(forest)
    ways = {
        "Tidegate's kernels": scorer.score,
        "Treelite GTIL": attempt(treelite(lambda module: treelite_of(module, forest), np.float64)),
        "ONNX Runtime, Tidegate's graph": lambda rows: 1.0 / (1.0 + np.exp(-sums(rows)[:, 0])),
    }
    return Contest(name, matrix, ways)


def treelite_of(module: Any, forest: Forest) -> Any:
    """Return boosted trees of two classes as Treelite builds them, in float64."""
    from treelite.model_builder import Metadata, ModelBuilder, PostProcessorFunc, TreeAnnotation

    count = len(forest.trees)
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=Metadata(forest.width, "kBinaryClf", False, 1, [1], (1, 1)),
        tree_annotation=TreeAnnotation(count, [0] * count, [0] * count),
        postprocessor=PostProcessorFunc("sigmoid"),
        base_scores=[float(forest.base[0])],
    )
    for tree in forest.trees:
        builder.start_tree()
        for node, (yes, no) in enumerate(zip(tree.yes.tolist(), tree.no.tolist(), strict=True)):
            builder.start_node(node)
            way = {"left_child_key": yes, "right_child_key": no, "default_left": bool(tree.missing_yes[node])}
            if yes < 0:
                builder.leaf(float(tree.threshold[node]))
            elif node in tree.members:
                levels = [int(level) for level in tree.members[node]]
                builder.categorical_test(
                    int(tree.feature[node]), category_list=levels, category_list_right_child=False, **way
                )
            else:
                compare = "<" if tree.mode[node] == LESS else "<="
                builder.numerical_test(int(tree.feature[node]), float(tree.threshold[node]), opname=compare, **way)
            builder.end_node()
        builder.end_tree()
    return builder.commit()


def frame() -> tuple[Any, Array]:
    rng = np.random.default_rng(SEED)
    table = pd.DataFrame(rng.normal(size=(ROWS, 8)), columns=[f"n{column}" for column in range(8)])
    table = table.mask(rng.random(table.shape) < 0.05)
    for column, size in enumerate((4, 10, 30, 60)):
        values = np.array([f"value {number}" for number in range(size)], dtype=object)[rng.integers(0, size, ROWS)]
        values[rng.random(ROWS) < 0.03] = np.nan
        table[f"c{column}"] = values
    score = table["n0"].fillna(0) + table["n1"].fillna(0) + (table["c1"] == "value 3") * 2
    return table, (score + rng.normal(size=ROWS) > 0).to_numpy().astype(np.int64)


def pipeline_contest(name: str, final: Any, *, one_hot: bool = True) -> Contest:
    """A pipeline over eight numbers and four texts with gaps, as its users call it and as the replica does."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    table, target = frame()
    texts = [column for column in table if column.startswith("c")]
    encoder = (
        make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore"))
        if one_hot
        else OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    )
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    parts = [("n", scaled, [column for column in table if column.startswith("n")]), ("c", encoder, texts)]
    model = make_pipeline(ColumnTransformer(parts), final).fit(table, target)
    asked = table.copy()
    asked.loc[asked.index[::50], texts] = "never seen"
    columns = {
        column: asked[column].to_numpy()
        if column.startswith("n")
        else np.array([None if pd.isna(value) else value for value in asked[column]], dtype=object)
        for column in asked
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        import skops.io

        skops.io.dump(model, path)
        served = get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions(trusted=True))
    ways = {
        "framework": lambda rows: model.predict_proba(rows[0]),
        "Tidegate's runtime": lambda rows: served.predict(rows[1])["probabilities"],
    }

    def cut(data: Any, start: int, end: int) -> Any:
        return data[0].iloc[start:end], {column: values[start:end] for column, values in data[1].items()}

    return Contest(name, (asked, columns), ways, cut)


def contests() -> list[Callable[[], Contest]]:
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    forest, boosted = RandomForestClassifier(100, random_state=0), GradientBoostingClassifier(random_state=0)
    histogram = HistGradientBoostingClassifier(random_state=0)
    return [
        lambda: xgboost_contest(categorical=False),
        lambda: xgboost_contest(categorical=True),
        lambda: lightgbm_contest(categorical=False),
        lambda: lightgbm_contest(categorical=True),
        lambda: sklearn_contest("scikit-learn, random forest of 100 trees", forest, missing=True),
        lambda: sklearn_contest("scikit-learn, gradient boosting, 100 trees", boosted, missing=False),
        lambda: sklearn_contest("scikit-learn, histogram gradient boosting, 100 trees", histogram, missing=True),
        lambda: pipeline_contest("scikit-learn, impute, scale, one-hot, logistic regression", LogisticRegression()),
        lambda: pipeline_contest("scikit-learn, ordinal codes, histogram gradient boosting",
                                 HistGradientBoostingClassifier(random_state=0), one_hot=False),
        h2o_contest,
    ]  # fmt: skip
