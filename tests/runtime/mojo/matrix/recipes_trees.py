"""Gradient boosting, random forests, uplift forests and the two isolation forests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.runtime.mojo.matrix.recipes import (
    FEW,
    FRAME,
    INTEGERS,
    LEVELS,
    MIXED,
    NUMBERS,
    ODD,
    ODD_WITHOUT_LEVELS,
    WIDE,
    Recipe,
)

ENCODINGS = ("enum", "one_hot_explicit", "binary", "eigen", "label_encoder", "sort_by_response", "enum_limited")
SMALL = {"ntrees": 5, "max_depth": 3, "min_rows": 4, "seed": 11}


def gbm() -> Iterator[Recipe]:
    """Return recipes of gradient boosting."""

    def one(name: str, inputs: tuple[str, ...], response: str, table: str = "plain", **more: Any) -> Recipe:
        threshold = more.pop("threshold", None)
        return Recipe(
            f"gbm_{name}", "gbm", "GradientBoosting", inputs, response, SMALL | more, table=table, threshold=threshold
        )

    yield one("gaussian", WIDE, "y_real", distribution="gaussian")
    yield one("bernoulli", WIDE, "y_yes", distribution="bernoulli")
    yield one("bernoulli_digits", MIXED, "y_digit", distribution="bernoulli")
    yield one("quasibinomial", MIXED, "y_zero_one", distribution="quasibinomial")
    yield one("multinomial", WIDE, "y_four", distribution="multinomial")
    yield one("multinomial_numbers", MIXED, "y_numbers", distribution="multinomial")
    yield one("multinomial_of_two", MIXED, "y_yes", distribution="multinomial")
    yield one("poisson", WIDE, "y_count", distribution="poisson")
    yield one("gamma", MIXED, "y_positive", distribution="gamma")
    for power in (1.2, 1.5, 1.8):
        yield one(f"tweedie_{power}", MIXED, "y_claims", distribution="tweedie", tweedie_power=power)
    yield one("laplace", MIXED, "y_real", distribution="laplace")
    for alpha in (0.25, 0.9):
        yield one(f"quantile_{alpha}", MIXED, "y_real", distribution="quantile", quantile_alpha=alpha)
    yield one("huber", MIXED, "y_real", distribution="huber", huber_alpha=0.8)
    for encoding in ENCODINGS:
        inputs = {"one_hot_explicit": FEW, "label_encoder": INTEGERS}.get(encoding, MIXED)
        yield one(f"bernoulli_{encoding}", inputs, "y_yes", categorical_encoding=encoding)
        yield one(f"gaussian_{encoding}", inputs, "y_real", categorical_encoding=encoding)
        yield one(f"multinomial_{encoding}", inputs, "y_four", categorical_encoding=encoding)
        yield one(f"odd_{encoding}", ODD, "y_odd_two", table="odd", categorical_encoding=encoding)
        yield one(f"odd_names_{encoding}", ODD_WITHOUT_LEVELS, "y_odd", table="odd", categorical_encoding=encoding)
    yield one("label_encoder_partly", (*INTEGERS, "partly"), "y_real", categorical_encoding="label_encoder")
    yield one("encoded_levels_only", LEVELS, "y_yes", categorical_encoding="binary")
    yield one("encoded_wide", WIDE, "y_real", categorical_encoding="binary")
    yield one("limited_wide", WIDE, "y_yes", categorical_encoding="enum_limited")
    for response, distribution in (
        ("y_real", "gaussian"), ("y_yes", "bernoulli"), ("y_count", "poisson"), ("y_positive", "gamma"),
        ("y_claims", "tweedie"), ("y_zero_one", "quasibinomial"),
    ):  # fmt: skip
        yield one(f"offset_{distribution}", MIXED, response, distribution=distribution, offset_column="offset")
    yield one("weights_bernoulli", MIXED, "y_yes", weights_column="weight")
    yield one("weights_offset_poisson", FEW, "y_count", "plain", distribution="poisson", weights_column="weight",
              offset_column="offset")  # fmt: skip
    yield one("fold_column", MIXED, "y_yes", fold_column="fold")
    yield one("fold_weights_offset", MIXED, "y_real", fold_column="fold", weights_column="weight",
              offset_column="offset")  # fmt: skip
    yield one("cross_validated", MIXED, "y_four", nfolds=2)
    yield one("balanced_two", MIXED, "y_rare", balance_classes=True)
    yield one("balanced_four", MIXED, "y_four", balance_classes=True)
    factors: dict[str, Any] = {"balance_classes": True, "class_sampling_factors": [1.0, 0.5, 2.0, 3.0]}
    yield one("balanced_factors", MIXED, "y_four", **factors)
    for method in ("PlattScaling", "IsotonicRegression"):
        calibrated: dict[str, Any] = {"calibrate_model": True, "calibration_frame": FRAME, "calibration_method": method}
        yield one(f"calibrated_{method}", MIXED, "y_yes", **calibrated)
        yield one(f"calibrated_balanced_{method}", FEW, "y_rare", balance_classes=True, **calibrated)
        yield one(f"calibrated_weights_{method}", FEW, "y_yes", weights_column="weight", **calibrated)
    constraints: dict[str, Any] = {"monotone_constraints": {"n1": 1, "n2": 1, "n3": -1}}
    for response, distribution in (("y_real", "gaussian"), ("y_yes", "bernoulli"), ("y_claims", "tweedie")):
        yield one(f"monotone_{distribution}", MIXED, response, distribution=distribution, **constraints)
    yield one("monotone_quantile", MIXED, "y_real", distribution="quantile", quantile_alpha=0.3, **constraints)
    for histogram in ("UniformAdaptive", "Random", "QuantilesGlobal", "RoundRobin", "UniformRobust"):
        yield one(f"histogram_{histogram}", WIDE, "y_real", histogram_type=histogram, max_depth=5)
    yield one("few_bins_of_levels", WIDE, "y_yes", nbins_cats=8, max_depth=6, min_rows=1)
    yield one("many_bins_of_levels", WIDE, "y_four", nbins_cats=1024, max_depth=6, min_rows=1)
    yield one("only_300_levels", ("c300",), "y_real", nbins_cats=2048, max_depth=6, min_rows=1)
    yield one("deep", WIDE, "y_real", max_depth=14, min_rows=1, ntrees=3)
    yield one("stumps", WIDE, "y_yes", max_depth=1, ntrees=12)
    yield one("single_leaves", FEW, "y_yes", min_split_improvement=1e10)
    yield one("single_leaves_four", FEW, "y_four", min_split_improvement=0.08)
    yield one("constant_response", FEW, "y_constant", check_constant_response=False)
    yield one("sampled", WIDE, "y_yes", sample_rate=0.6, col_sample_rate=0.5, col_sample_rate_per_tree=0.8,
              learn_rate_annealing=0.9)  # fmt: skip
    yield one("interaction_constraints", MIXED, "y_real", interaction_constraints=[["n1", "n2"], ["c3", "c40"]])
    yield one("bad_values_clipped", MIXED, "y_real", pred_noise_bandwidth=0.3, max_abs_leafnode_pred=0.5)
    yield one("numbers_only", NUMBERS, "y_yes")
    yield one("levels_only", LEVELS, "y_yes")
    yield one("more_than_hundred_trees", ("n1", "c3"), "y_yes", ntrees=101, max_depth=2)
    yield one("odd_four", ODD, "y_odd", table="odd")
    yield one("odd_real_offset", ODD, "y_real", table="odd", offset_column="off set", weights_column="weight,",
              fold_column="fold: 1")  # fmt: skip
    for threshold in (0.2, 0.85):
        yield one(f"threshold_{threshold}", MIXED, "y_yes", threshold=threshold)


def drf() -> Iterator[Recipe]:
    """Return recipes of random forests."""

    def one(name: str, inputs: tuple[str, ...], response: str, table: str = "plain", **more: Any) -> Recipe:
        parameters = SMALL | {"max_depth": 5} | more
        return Recipe(f"drf_{name}", "drf", "RandomForest", inputs, response, parameters, table=table)

    yield one("regression", WIDE, "y_real")
    yield one("two", WIDE, "y_yes")
    yield one("two_double_trees", MIXED, "y_yes", binomial_double_trees=True)
    yield one("four", WIDE, "y_four")
    yield one("numbers", MIXED, "y_numbers")
    for encoding in ENCODINGS:
        inputs = {"one_hot_explicit": FEW, "label_encoder": INTEGERS}.get(encoding, MIXED)
        yield one(f"two_{encoding}", inputs, "y_yes", categorical_encoding=encoding)
        yield one(f"four_{encoding}", inputs, "y_four", categorical_encoding=encoding)
    yield one("weights", MIXED, "y_yes", weights_column="weight")
    yield one("weights_regression", MIXED, "y_real", weights_column="weight")
    yield one("fold_column", MIXED, "y_four", fold_column="fold")
    yield one("balanced_two", MIXED, "y_rare", balance_classes=True)
    yield one("balanced_double", MIXED, "y_rare", balance_classes=True, binomial_double_trees=True)
    yield one("balanced_four", MIXED, "y_four", balance_classes=True)
    for method in ("PlattScaling", "IsotonicRegression"):
        calibrated: dict[str, Any] = {"calibrate_model": True, "calibration_frame": FRAME, "calibration_method": method}
        yield one(f"calibrated_{method}", MIXED, "y_yes", **calibrated)
        yield one(f"calibrated_double_{method}", FEW, "y_yes", binomial_double_trees=True, **calibrated)
    yield one("ties_one_tree", FEW, "y_four", ntrees=1, max_depth=20, min_rows=1)
    yield one("ties_two_trees", ("c3", "n3"), "y_four", ntrees=2, max_depth=20, min_rows=1)
    yield one("ties_balanced", ("n3", "cna"), "y_numbers", ntrees=2, max_depth=20, min_rows=1, balance_classes=True)
    yield one("deep", WIDE, "y_real", max_depth=20, min_rows=1, ntrees=2)
    yield one("single_leaf", FEW, "y_yes", min_split_improvement=1e10)
    yield one("histogram_quantiles", MIXED, "y_real", histogram_type="QuantilesGlobal")
    yield one("histogram_random", MIXED, "y_yes", histogram_type="Random", mtries=2)
    yield one("odd", ODD, "y_odd_two", table="odd")
    yield one("odd_four", ODD, "y_odd", table="odd")
    yield one("odd_four_one_hot", ODD, "y_odd", table="odd", categorical_encoding="one_hot_explicit")


def uplift() -> Iterator[Recipe]:
    """Return recipes of uplift forests."""
    shared = SMALL | {"treatment_column": "treatment", "max_depth": 4}
    for metric in ("KL", "ChiSquared", "Euclidean", "AUTO"):
        yield Recipe(f"uplift_{metric}", "uplift", "UpliftRandomForest", MIXED, "y_bought",
                     shared | {"uplift_metric": metric})  # fmt: skip
    yield Recipe(
        "uplift_shallow", "uplift", "UpliftRandomForest", FEW, "y_bought", shared | {"ntrees": 12, "max_depth": 2}
    )
    for encoding in ENCODINGS:
        inputs = {"one_hot_explicit": FEW, "label_encoder": INTEGERS}.get(encoding, MIXED)
        yield Recipe(f"uplift_encoded_{encoding}", "uplift", "UpliftRandomForest", inputs, "y_bought",
                     shared | {"categorical_encoding": encoding})  # fmt: skip


def isolation() -> Iterator[Recipe]:
    """Return recipes of both isolation forests."""
    shared = {"ntrees": 6, "seed": 11, "max_depth": 6, "sample_size": 100}
    for name, inputs, more in (
        ("numbers", NUMBERS, {}),
        ("mixed", WIDE, {}),
        ("contaminated", MIXED, {"contamination": 0.1}),
        ("shallow", FEW, {"max_depth": 2}),
        ("one_tree", FEW, {"ntrees": 1, "max_depth": 12}),
        ("encoded", FEW, {"categorical_encoding": "one_hot_explicit"}),
    ):
        yield Recipe(f"isolation_forest_{name}", "isolation_forest", "IsolationForest", inputs, None, shared | more)
    yield Recipe("isolation_forest_odd", "isolation_forest", "IsolationForest", ODD, None, shared, table="odd")
    extended = {"ntrees": 6, "seed": 11, "sample_size": 40}
    for name, inputs, level in (
        ("numbers_0", NUMBERS, 0), ("numbers_1", NUMBERS, 1), ("numbers_5", NUMBERS, 5), ("mixed_3", MIXED, 3),
        ("few_6", FEW, 6),
    ):  # fmt: skip
        yield Recipe(f"extended_isolation_forest_{name}", "extended_isolation_forest", "ExtendedIsolationForest",
                     inputs, None, extended | {"extension_level": level})  # fmt: skip
    yield Recipe("extended_isolation_forest_one_hot", "extended_isolation_forest", "ExtendedIsolationForest", FEW, None,
                 extended | {"extension_level": 2, "categorical_encoding": "one_hot_explicit"})  # fmt: skip
