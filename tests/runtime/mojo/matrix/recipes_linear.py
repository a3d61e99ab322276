"""Generalised linear and additive models, CoxPH and isotonic regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.runtime.mojo.matrix.recipes import FEW, LEVELS, MIXED, NUMBERS, ODD, Recipe

_FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("gaussian", "y_real", ("identity", "log", "inverse")),
    ("binomial", "y_yes", ("logit",)),
    ("quasibinomial", "y_zero_one", ("logit",)),
    ("fractionalbinomial", "y_share", ("logit",)),
    ("poisson", "y_count", ("log", "identity")),
    ("gamma", "y_positive", ("inverse", "log", "identity")),
    ("negativebinomial", "y_count", ("log", "identity")),
    ("multinomial", "y_four", ("family_default",)),
    ("ordinal", "y_order", ("ologit",)),
)


def glm() -> Iterator[Recipe]:
    """Return recipes of generalised linear models."""

    def one(name: str, inputs: tuple[str, ...], response: str, family: str, **more: Any) -> Recipe:
        table, threshold = more.pop("table", "plain"), more.pop("threshold", None)
        parameters = {"family": family, "lambda_": 0.001, "seed": 11} | more
        return Recipe(f"glm_{name}", "glm", "GeneralizedLinear", inputs, response, parameters, table=table,
                      threshold=threshold)  # fmt: skip

    for family, response, links in _FAMILIES:
        more: dict[str, Any] = {"theta": 0.3} if family == "negativebinomial" else {}
        for link in links:
            positive = {"gaussian": "y_positive"}.get(family, response) if link in ("log", "inverse") else response
            yield one(f"{family}_{link}", FEW, positive, family, link=link, **more)
        for missing in ("MeanImputation", "Skip"):
            yield one(f"{family}_{missing}", MIXED, response, family, missing_values_handling=missing, **more)
    for variance, power in ((1.5, 0.0), (1.3, 1.0), (1.7, 0.5), (0.0, 1.0), (2.0, -1.0)):
        yield one(f"tweedie_{variance}_{power}", FEW, "y_positive" if variance in (0.0, 2.0) else "y_claims", "tweedie",
                  tweedie_variance_power=variance, tweedie_link_power=power)  # fmt: skip
    for response, family in (("y_real", "gaussian"), ("y_yes", "binomial"), ("y_count", "poisson"),
                             ("y_positive", "gamma"), ("y_claims", "tweedie"), ("y_order", "ordinal"),
                             ("y_four", "multinomial")):  # fmt: skip
        yield one(f"offset_{family}", FEW, response, family, offset_column="offset")
    yield one("weights", MIXED, "y_yes", "binomial", weights_column="weight")
    yield one("fold_column", FEW, "y_real", "gaussian", fold_column="fold")
    yield one("wide", ("c300", "c40", "n1"), "y_real", "gaussian")
    yield one("no_intercept", FEW, "y_real", "gaussian", intercept=False)
    yield one("not_standardized", MIXED, "y_yes", "binomial", standardize=False)
    yield one(
        "no_penalty", FEW, "y_real", "gaussian", lambda_=0.0, compute_p_values=True, remove_collinear_columns=True
    )
    yield one("lasso", MIXED, "y_yes", "binomial", alpha=1.0, lambda_=0.02)
    yield one("lambda_search", FEW, "y_yes", "binomial", lambda_=None, lambda_search=True, nlambdas=5)
    yield one("lbfgs", MIXED, "y_real", "gaussian", solver="L_BFGS")
    yield one("coordinate_descent", FEW, "y_yes", "binomial", solver="COORDINATE_DESCENT")
    yield one("non_negative", FEW, "y_real", "gaussian", non_negative=True)
    yield one("levels_only", LEVELS, "y_yes", "binomial")
    yield one("levels_skip", LEVELS, "y_four", "multinomial", missing_values_handling="Skip")
    yield one("numbers_only", NUMBERS, "y_four", "multinomial")
    yield one("numbers_skip", NUMBERS, "y_yes", "binomial", missing_values_handling="Skip")
    yield one("digits", MIXED, "y_digit", "binomial")
    yield one("odd", ODD, "y_odd_two", "binomial", table="odd")
    yield one("odd_four", ODD, "y_odd", "multinomial", table="odd")
    yield one("odd_offset", ODD, "y_real", "gaussian", table="odd", offset_column="off set")
    yield one("threshold", FEW, "y_yes", "binomial", threshold=0.15)
    yield one("interactions", FEW, "y_real", "gaussian", interactions=["n1", "c3"])


def gam() -> Iterator[Recipe]:
    """Return recipes of generalised additive models."""
    inputs = ("nna", "c3", "cna")
    cubic: dict[str, Any] = {"gam_columns": ["n1", "n2"], "bs": [0, 0], "num_knots": [5, 6], "scale": [0.01, 0.01]}

    def one(name: str, response: str, family: str, **more: Any) -> Recipe:
        used = more.pop("inputs", inputs)
        parameters = {"family": family, "lambda_": 0.001, "seed": 11} | more
        return Recipe(f"gam_{name}", "gam", "GeneralizedAdditive", used, response, parameters)

    for family, response, links in _FAMILIES:
        more: dict[str, Any] = {"theta": 0.3} if family == "negativebinomial" else {}
        for link in links[:2]:
            positive = {"gaussian": "y_positive"}.get(family, response) if link in ("log", "inverse") else response
            yield one(f"cubic_{family}_{link}", positive, family, link=link, **cubic, **more)
    yield one("cubic_tweedie", "y_claims", "tweedie", tweedie_variance_power=1.5, tweedie_link_power=0.0, **cubic)
    yield one("cubic_offset", "y_real", "gaussian", offset_column="offset", **cubic)
    yield one("cubic_skip", "y_yes", "binomial", missing_values_handling="Skip", **cubic)
    yield one("cubic_standardized", "y_yes", "binomial", standardize=True, **cubic)
    yield one("cubic_numbers", "y_real", "gaussian", inputs=("zeros", "n3"), **cubic)
    plates: tuple[tuple[str, list[Any], list[int], list[int]], ...] = (
        ("thin_plate_1", [["n1"]], [1], [8]),
        ("thin_plate_2", [["n1", "n2"]], [1], [10]),
        ("thin_plate_3", [["n1", "n2", "n3"]], [1], [14]),
        ("thin_plates", [["n1"], ["n2", "n3"]], [1, 1], [7, 12]),
        ("mixed_kinds", ["n1", ["n2", "n3"]], [0, 1], [5, 10]),
    )
    for name, columns, kinds, knots in plates:
        smooth: dict[str, Any] = {"gam_columns": columns, "bs": kinds, "num_knots": knots, "scale": [0.01] * len(kinds)}
        yield one(name, "y_real", "gaussian", **smooth)
        yield one(f"{name}_binomial", "y_yes", "binomial", **smooth)
    thin: dict[str, Any] = {"gam_columns": [["n1", "n2"]], "bs": [1], "num_knots": [10], "scale": [0.01]}
    yield one("thin_plate_standardized", "y_real", "gaussian", standardize=True, **thin)
    for name, kind in (("i_splines", 2), ("m_splines", 3)):
        for order in (2, 3):
            smooth = {"gam_columns": ["n1", "n2"], "bs": [kind, kind], "num_knots": [5, 6],
                      "spline_orders": [order, order], "scale": [0.01, 0.01]}  # fmt: skip
            yield one(f"{name}_{order}", "y_yes", "binomial", **smooth)
            yield one(f"{name}_{order}_real", "y_real", "gaussian", **smooth)


def coxph() -> Iterator[Recipe]:
    """Return recipes of proportional hazards."""
    shared = {"stop_column": "stop"}
    for name, inputs, more in (
        ("efron", ("n1", "n2", "c3"), {}),
        ("breslow", ("n1", "n2", "c3", "digits"), {"ties": "breslow"}),
        ("start", ("n1", "n3", "cna"), {"start_column": "start"}),
        ("missing", ("nna", "cna", "n1"), {}),
        ("offset", ("n1", "c3"), {"offset_column": "offset"}),
        ("weights", ("n1", "c3"), {"weights_column": "weight"}),
        ("strata", ("n1", "n2", "c3", "c2"), {"stratify_by": ["c3"]}),
        ("two_strata", ("n1", "n2", "c3", "c2"), {"stratify_by": ["c3", "c2"]}),
        ("interaction_numbers", ("n1", "n2", "c3"), {"interaction_pairs": [("n1", "n2")]}),
        ("interaction_levels", ("n1", "c2", "c3"), {"interaction_pairs": [("c2", "c3")]}),
        ("interaction_mixed", ("n1", "n2", "c3"), {"interaction_pairs": [("n1", "c3")]}),
        ("all_levels", ("n1", "c3", "c2"), {"use_all_factor_levels": True}),
        ("numbers", ("n1", "n2", "n3"), {}),
        ("levels", ("c2", "c3"), {}),
    ):
        yield Recipe(f"coxph_{name}", "coxph", "CoxProportionalHazards", inputs, "event", shared | more)


def isotonic() -> Iterator[Recipe]:
    """Return recipes of isotonic regression."""
    for name, inputs, response, more in (
        ("clip", ("n1",), "y_real", {"out_of_bounds": "clip"}),
        ("na", ("n1",), "y_real", {"out_of_bounds": "na"}),
        ("duplicates", ("n3",), "y_real", {"out_of_bounds": "clip"}),
        ("weights", ("n2",), "y_positive", {"out_of_bounds": "clip", "weights_column": "weight"}),
        ("zeros", ("zeros",), "y_zero_one", {"out_of_bounds": "clip"}),
    ):
        yield Recipe(f"isotonic_{name}", "isotonic", "IsotonicRegression", inputs, response, more)
