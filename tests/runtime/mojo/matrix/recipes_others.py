"""Deep learning, unsupervised models, encoders, and models of models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.runtime.mojo.matrix.recipes import FEW, INTEGERS, LEVELS, MIXED, NUMBERS, ODD, Recipe

_IN_ORDER = "genmodel draws with the number of rows scored before: the rows are scored in order"


def deep_learning() -> Iterator[Recipe]:
    """Return recipes of neural networks, autoencoders among them."""
    shared = {"hidden": [4], "epochs": 2, "seed": 11, "reproducible": True, "export_weights_and_biases": False}

    def one(name: str, inputs: tuple[str, ...], response: str | None, table: str = "plain", **more: Any) -> Recipe:
        estimator = "AutoEncoder" if response is None else "DeepLearning"
        return Recipe(f"deep_learning_{name}", "deep_learning", estimator, inputs, response, shared | more, table=table)

    for activation in ("rectifier", "tanh", "maxout"):
        yield one(f"{activation}", FEW, "y_yes", activation=activation)
        yield one(f"{activation}_two_layers", FEW, "y_real", activation=activation, hidden=[5, 3])
        yield one(f"{activation}_dropout", FEW, "y_four", activation=f"{activation}_with_dropout",
                  hidden=[9, 4], hidden_dropout_ratios=[0.3, 0.2])  # fmt: skip
    yield one("input_dropout", FEW, "y_four", input_dropout_ratio=0.2)
    for response, distribution in (("y_real", "gaussian"), ("y_count", "poisson"), ("y_positive", "gamma"),
                                   ("y_claims", "tweedie"), ("y_real", "laplace"), ("y_real", "huber"),
                                   ("y_real", "quantile"), ("y_yes", "bernoulli"),
                                   ("y_four", "multinomial")):  # fmt: skip
        yield one(distribution, MIXED, response, distribution=distribution)
    for response in ("y_real", "y_yes", "y_four"):
        yield one(f"not_standardized_{response[2:]}", ("n1", "n3", "c3", "cna"), response, standardize=False)
        yield one(f"not_all_levels_{response[2:]}", FEW, response, use_all_factor_levels=False)
    yield one("skip", FEW, "y_yes", missing_values_handling="Skip")
    yield one("balanced", FEW, "y_rare", balance_classes=True)
    yield one("balanced_four", FEW, "y_four", balance_classes=True)
    yield one("offset", FEW, "y_real", offset_column="offset")
    yield one("weights", FEW, "y_yes", weights_column="weight")
    yield one("fold_column", FEW, "y_yes", fold_column="fold")
    for encoding in ("one_hot_internal", "binary", "eigen", "label_encoder", "sort_by_response", "one_hot_explicit",
                     "enum_limited"):  # fmt: skip
        encoded = INTEGERS if encoding == "label_encoder" else FEW
        yield one(f"encoded_{encoding}", encoded, "y_yes", categorical_encoding=encoding)
    yield replace(
        one("limited_levels", ("n1", "nna", "c3", "c40", "cna"), "y_yes", categorical_encoding="enum_limited"),
        below_the_training=True,
    )
    yield one("encoded_numbers_binary", MIXED, "y_numbers", categorical_encoding="binary")
    yield one("numbers", NUMBERS, "y_numbers")
    yield one("levels", LEVELS, "y_digit")
    yield one("wide", ("c300", "n1", "odd"), "y_yes", hidden=[3])
    yield one("sparse", FEW, "y_yes", sparse=True)
    yield one("odd", ODD, "y_odd", table="odd")
    yield one("odd_two", ODD, "y_odd_two", table="odd", categorical_encoding="binary")
    for name, inputs, more in (
        ("autoencoder", FEW, {}),
        ("autoencoder_numbers", NUMBERS, {"activation": "tanh"}),
        ("autoencoder_maxout", FEW, {"activation": "maxout"}),
        ("autoencoder_layers", MIXED, {"activation": "tanh", "hidden": [6, 3, 6]}),
        ("autoencoder_not_standardized", ("n1", "n3", "c3"), {"standardize": False}),
        ("autoencoder_not_all_levels", FEW, {"use_all_factor_levels": False}),
    ):
        yield one(name, inputs, None, **more)
    yield one("autoencoder_odd", ODD, None, table="odd")


def unsupervised() -> Iterator[Recipe]:
    """Return recipes of K-means, PCA and GLRM."""
    for name, inputs, more in (
        ("numbers", NUMBERS, {}),
        ("mixed", MIXED, {}),
        ("numbers_raw", ("n1", "n3", "nna", "zeros"), {"standardize": False}),
        ("mixed_raw", FEW, {"standardize": False}),
        ("levels", LEVELS, {}),
        ("one_cluster", FEW, {"k": 1}),
        ("furthest", FEW, {"init": "Furthest", "k": 6}),
        ("estimated", NUMBERS, {"estimate_k": True, "k": 5}),
        ("encoded", FEW, {"categorical_encoding": "binary"}),
        ("encoded_one_hot", FEW, {"categorical_encoding": "one_hot_explicit"}),
    ):
        yield Recipe(
            f"kmeans_{name}", "kmeans", "KMeans", inputs, None, {"k": 3, "seed": 11} | more,
            to_be_refused="the file lacks the encoding of its columns" if name == "encoded" else "",
        )  # fmt: skip
    yield Recipe("kmeans_odd", "kmeans", "KMeans", ODD, None, {"k": 3, "seed": 11}, table="odd")
    yield from _pca()
    yield from _glrm()


def _pca() -> Iterator[Recipe]:
    for name, inputs, more in (
        ("none", NUMBERS, {"transform": "none"}),
        ("standardize", MIXED, {"transform": "standardize"}),
        ("normalize", FEW, {"transform": "normalize"}),
        ("demean", FEW, {"transform": "demean"}),
        ("descale", FEW, {"transform": "descale"}),
        ("all_levels", FEW, {"transform": "standardize", "use_all_factor_levels": True}),
        ("imputed", FEW, {"transform": "standardize", "impute_missing": True}),
        ("power", FEW, {"transform": "standardize", "pca_method": "Power"}),
        ("randomized", FEW, {"transform": "standardize", "pca_method": "Randomized"}),
        ("levels", ("c2", "c3", "c40"), {"transform": "none"}),
    ):
        parameters = {"k": 3, "seed": 11} | more
        yield Recipe(f"pca_{name}", "pca", "PrincipalComponentAnalysis", inputs, None, parameters)
    yield Recipe("pca_odd", "pca", "PrincipalComponentAnalysis", ODD, None,
                 {"k": 2, "seed": 11, "transform": "standardize", "impute_missing": True}, table="odd")  # fmt: skip


def _glrm() -> Iterator[Recipe]:
    numbers, mixed = ("n1", "n3", "nna", "zeros"), ("n1", "n3", "nna", "c3", "cna")
    shared = {"k": 2, "seed": 11, "max_iterations": 40, "transform": "standardize", "init": "svd"}
    for name, inputs, more in (
        ("quadratic", numbers, {}),
        ("mixed", mixed, {}),
        ("ordinal", mixed, {"multi_loss": "ordinal"}),
        ("absolute", numbers, {"loss": "absolute"}),
        ("huber", numbers, {"loss": "huber"}),
        ("poisson", ("n3", "n2"), {"loss": "poisson", "transform": "none"}),
        ("periodic", numbers, {"loss": "periodic", "period": 4}),
        ("logistic", ("n1", "zeros", "c2"), {"loss": "logistic"}),
        ("hinge", ("n1", "zeros", "c2"), {"loss": "hinge"}),
        ("quadratic_penalty", mixed, _penalty("quadratic")),
        ("l2", numbers, _penalty("l2")),
        ("l1", mixed, _penalty("l1")),
        ("non_negative", numbers, _penalty("non_negative")),
        ("one_sparse", numbers, _penalty("one_sparse")),
        ("unit_one_sparse", numbers, _penalty("unit_one_sparse")),
        ("simplex", numbers, _penalty("simplex")),
        ("rank_3", mixed, {"k": 3}),
        ("demean", mixed, {"transform": "demean"}),
        ("normalize", numbers, {"transform": "normalize", "impute_original": True}),
    ):  # fmt: skip
        yield Recipe(
            f"glrm_{name}", "glrm", "GeneralizedLowRank", inputs, None, shared | more, notes=_IN_ORDER,
        )  # fmt: skip


def _penalty(name: str) -> dict[str, Any]:
    return {"regularization_x": name, "gamma_x": 0.3, "init": "plus_plus"}


def composites() -> Iterator[Recipe]:
    """Return recipes of stacked ensembles and RuleFit, base models included."""
    folds = {"nfolds": 2, "fold_assignment": "modulo", "keep_cross_validation_predictions": True, "seed": 11}
    trees = folds | {"ntrees": 4, "max_depth": 3}
    for suffix, response, table, inputs in (
        ("two", "y_yes", "plain", FEW), ("real", "y_real", "plain", FEW), ("four", "y_four", "plain", FEW),
        ("odd", "y_odd_two", "odd", ODD), ("odd_four", "y_odd", "odd", ODD),
    ):  # fmt: skip
        base = [
            Recipe(f"stacked_base_gbm_{suffix}", "gbm", "GradientBoosting", inputs, response, trees, table=table),
            Recipe(f"stacked_base_drf_{suffix}", "drf", "RandomForest", inputs[:-1], response, trees, table=table),
            Recipe(f"stacked_base_glm_{suffix}", "glm", "GeneralizedLinear", inputs, response, folds, table=table),
        ]
        if suffix in ("two", "real"):
            base.append(Recipe(f"stacked_base_xgboost_{suffix}", "xgboost", "XGBoost", inputs, response, trees))
            name = f"stacked_base_deep_learning_{suffix}"
            deep = folds | {"hidden": [3], "epochs": 2, "reproducible": True}
            base.append(Recipe(name, "deep_learning", "DeepLearning", inputs, response, deep))
        yield from base
        names = tuple(recipe.name for recipe in base)
        for metalearner in (
            ("AUTO",) if suffix == "odd_four" else ("AUTO", "glm", "gbm", "drf", "deeplearning", "xgboost")
        ):
            more: dict[str, Any] = {"seed": 11, "metalearner_algorithm": metalearner}
            if metalearner in ("gbm", "drf", "xgboost"):
                more["metalearner_params"] = {"ntrees": 4, "max_depth": 3}
            if metalearner == "deeplearning":
                more["metalearner_params"] = {"hidden": [4], "epochs": 2, "reproducible": True}
            yield Recipe(f"stacked_{suffix}_{metalearner}", "stacked_ensemble", "StackedEnsemble", inputs, response,
                         more, table=table, base_models=names)  # fmt: skip
        if suffix not in ("real", "odd_four"):
            yield Recipe(f"stacked_{suffix}_logit", "stacked_ensemble", "StackedEnsemble", inputs, response,
                         {"seed": 11, "metalearner_transform": "Logit"}, table=table, base_models=names)  # fmt: skip
    yield from _encoded_ensemble(folds)
    rules = {"seed": 11, "min_rule_length": 1, "max_rule_length": 3, "rule_generation_ntrees": 6, "max_num_rules": 12}
    for name, used, response, more, table in (
        ("two", FEW, "y_yes", {}, "plain"),
        ("real", FEW, "y_real", {}, "plain"),
        ("four", FEW, "y_four", {}, "plain"),
        ("rules_only", MIXED, "y_yes", {"model_type": "rules"}, "plain"),
        ("linear_only", FEW, "y_real", {"model_type": "linear"}, "plain"),
        ("gbm_rules", MIXED, "y_real", {"algorithm": "gbm"}, "plain"),
        ("poisson", FEW, "y_count", {"distribution": "poisson"}, "plain"),
        ("weights", FEW, "y_yes", {"weights_column": "weight"}, "plain"),
        ("odd", ODD, "y_odd_two", {}, "odd"),
    ):
        yield Recipe(f"rulefit_{name}", "rulefit", "RuleFit", used, response, rules | more, table=table)


def _encoded_ensemble(folds: dict[str, Any]) -> Iterator[Recipe]:
    """Return recipes of an ensemble whose base models number levels in other ways, which genmodel cannot score."""
    trees = folds | {"ntrees": 4, "max_depth": 3}
    base = [
        Recipe("stacked_base_gbm_one_hot", "gbm", "GradientBoosting", FEW, "y_yes",
               trees | {"categorical_encoding": "one_hot_explicit"}),
        Recipe("stacked_base_drf_binary", "drf", "RandomForest", FEW, "y_yes",
               trees | {"categorical_encoding": "binary"}),
        Recipe("stacked_base_xgboost_sorted", "xgboost", "XGBoost", FEW, "y_yes",
               trees | {"categorical_encoding": "sort_by_response"}),
        Recipe("stacked_base_glm_encoded", "glm", "GeneralizedLinear", FEW, "y_yes", folds),
    ]  # fmt: skip
    yield from base
    names = tuple(recipe.name for recipe in base)
    yield Recipe(
        "stacked_encoded", "stacked_ensemble", "StackedEnsemble", FEW, "y_yes", {"seed": 11}, base_models=names
    )
    yield Recipe("stacked_sorted", "stacked_ensemble", "StackedEnsemble", FEW, "y_yes", {"seed": 11},
                 base_models=names[2:])  # fmt: skip


def encoders() -> Iterator[Recipe]:
    """Return recipes of target encoders and Word2Vec."""
    listed: tuple[tuple[str, tuple[str, ...], str, dict[str, Any], str], ...] = (
        ("two", ("c3", "cna", "digits", "c40"), "y_yes", {}, "plain"),
        ("real", ("c3", "cna", "c40"), "y_real", {}, "plain"),
        ("four", ("c3", "cna", "digits"), "y_four", {}, "plain"),
        ("numbers", ("c3", "cna", "digits"), "y_numbers", {}, "plain"),
        ("blended", ("c3", "cna", "c40"), "y_yes", _blend(5.0, 3.0), "plain"),
        ("blended_real", ("c3", "cna", "c300"), "y_real", _blend(10.0, 20.0), "plain"),
        ("interaction", ("c3", "cna", "c2"), "y_yes", {"columns_to_encode": [["c3", "cna"], ["c2"]]}, "plain"),
        ("interaction_blended", ("c3", "cna", "c2"), "y_four",
         {"columns_to_encode": [["c3", "cna"], ["c2", "c3"]]} | _blend(2.0, 1.0), "plain"),
        ("dropped", ("c3", "cna", "n1"), "y_yes", {"keep_original_categorical_columns": False}, "plain"),
        ("folds", ("c3", "cna"), "y_yes", {"data_leakage_handling": "KFold", "fold_column": "fold"}, "plain"),
        ("odd", ('quote"d', "c.d", "東京 🌊", "1"), "y_odd_two", {}, "odd"),
    )  # fmt: skip
    for name, encoded, response, more, table in listed:
        yield Recipe(f"target_encoder_{name}", "target_encoder", "TargetEncoder", encoded, response,
                     {"seed": 11, "noise": 0.0} | more, table=table)  # fmt: skip
    for size in (3, 8):
        yield Recipe(f"word2vec_{size}", "word2vec", "Word2vec", (), None,
                     {"vec_size": size, "min_word_freq": 2, "epochs": 3, "window_size": 3}, table="words")  # fmt: skip


def _blend(inflection_point: float, smoothing: float) -> dict[str, Any]:
    return {"blending": True, "inflection_point": inflection_point, "smoothing": smoothing}
