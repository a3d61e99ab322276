"""Write the models that H2O-3 cannot train, after the format: an SVM and a k-LIME on the clusters of `kmeans_na`.

python hand.py <folder of MOJOs>; `answers.py` then loads them with genmodel.
"""

import random
import sys
import zipfile
from pathlib import Path

OUT = Path(sys.argv[1])
NAMES = ("c2", "c1", "c3", "x0", "x1", "x2", "x3", "reg")
PLACES = {0: "d001.txt", 1: "d000.txt", 2: "d002.txt"}


def head(algorithm, category, columns, domains, classes=1):
    return {
        "mojo_version": "1.00", "algorithm": algorithm, "endianness": "LITTLE_ENDIAN", "category": category,
        "uuid": 77, "supervised": "true", "n_features": len(columns) - 1, "n_classes": classes,
        "n_columns": len(columns), "n_domains": domains, "balance_classes": "false", "default_threshold": 0.5,
        "prior_class_distrib": "null", "model_class_distrib": "null", "escape_domain_values": "true",
        "h2o_version": "3.46.0.11", "timestamp": "2020-01-01T00:00:00.000Z",
    }  # fmt: skip


def ini(keys, columns, domains):
    lines = ["[info]", *(f"{key} = {value}" for key, value in keys.items()), "", "[columns]", *columns, "", "[domains]"]
    return "\n".join([*lines, *domains, ""])


def svm(name, classes, imputes, floor, threshold):
    generator = random.Random(name)
    columns = ("a", "b", "c", "d", "y")
    keys = head("Support Vector Machine (*Spark*)", "Binomial" if classes == 2 else "Regression", columns, 1, classes)
    keys |= {
        "meanImputation": imputes,
        "means": [round(generator.gauss(0, 1), 6) for _ in range(4)],
        "weights": [round(generator.gauss(0, 1), 6) for _ in range(4)],
        "interceptor": 0.25, "defaultThreshold": floor, "threshold": threshold,
    }  # fmt: skip
    domains = ["2: 3 d000.txt"] + (["4: 2 d001.txt"] if classes == 2 else [])
    with zipfile.ZipFile(OUT / f"{name}.zip", "w") as archive:
        archive.writestr("model.ini", ini(keys, columns, domains))
        archive.writestr("domains/d000.txt", "x\ny\nz\n")
        if classes == 2:
            archive.writestr("domains/d001.txt", "no\nyes\n")


def linear(levels, seed, all_levels, imputes):
    generator = random.Random(seed)
    offsets = [0]
    for count in (len(levels[name]) for name in ("c2", "c1", "c3")):
        offsets.append(offsets[-1] + count - (0 if all_levels else 1))
    keys = head("Generalized Linear Modeling", "Regression", NAMES, 3)
    keys |= {
        "use_all_factor_levels": str(all_levels).lower(), "cats": 3, "nums": 4, "cat_offsets": offsets,
        "mean_imputation": str(imputes).lower(), "num_means": [0.5, -0.25, 1.5, 2.5], "cat_modes": [2, 0, 1],
        "family": "gaussian", "link": "identity", "dispersion_estimated": 1.0,
        "beta": [generator.gauss(0, 1) for _ in range(offsets[-1] + 5)],
    }  # fmt: skip
    return ini(keys, NAMES, [f"{place}: {len(levels[NAMES[place]])} {file}" for place, file in PLACES.items()])


def klime(name, missing, models):
    source = zipfile.ZipFile(OUT / "kmeans_na.zip")
    files = {entry: source.read(entry) for entry in source.namelist() if not entry.startswith("experimental")}
    texts = {level: files[f"domains/d00{place}.txt"] for place, level in enumerate(("c1", "c2", "c3"))}
    levels = {level: text.decode().splitlines() for level, text in texts.items()}
    keys = head("k-LIME", "KLime", NAMES, 3) | {"submodel_count": 1 + len(models)}
    subs = [("km", "models/K/km/"), *((f"m{i}", f"models/GLM/m{i}/") for i in range(len(models)))]
    for place, (key, folder) in enumerate(subs):
        keys |= {f"submodel_key_{place}": key, f"submodel_dir_{place}": folder}
    keys |= {"cluster_num": 5, "clustering_model": "km", "global_regression_model": "m0"}
    for place in range(5):
        keys[f"cluster_regression_model_{place}"] = "null" if place in missing else f"m{1 + place % (len(models) - 1)}"
    domains = [f"{place}: {len(levels[NAMES[place]])} {file}" for place, file in PLACES.items()]
    with zipfile.ZipFile(OUT / f"{name}.zip", "w") as archive:
        for folder in ("", *(folder for _, folder in subs[1:])):
            for place, file in PLACES.items():
                archive.writestr(f"{folder}domains/{file}", texts[NAMES[place]])
        archive.writestr("model.ini", ini(keys, NAMES, domains))
        for entry, data in files.items():
            archive.writestr(f"models/K/km/{entry}", data)
        for (_, folder), options in zip(subs[1:], models, strict=True):
            archive.writestr(f"{folder}model.ini", linear(levels, *options))


svm("svm_2_true_0_5", 2, "true", 0.0, 0.5)
svm("svm_1_false_0_0", 1, "false", 0.5, 0.0)
klime("klime_all", [1], [(4, False, True), (5, False, True)])
klime("klime_noimp", [1], [(4, False, False), (5, False, False)])
