"""XGBoost inside H2O: trees, dropped trees, and linear boosters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.runtime.mojo.matrix.recipes import FEW, FRAME, INTEGERS, LEVELS, MIXED, NUMBERS, ODD, Recipe

SMALL = {"ntrees": 5, "max_depth": 3, "seed": 11, "backend": "cpu"}
#: Its columns are those of the encoding, and genmodel takes no others: to it those of the rows are unknown names.
ENCODED_COLUMNS = "the columns are encoded ones, whose names hold the levels: the cluster's answers are the right ones"
#: What H2O can write and genmodel cannot score, for want of the encoding: the file is to be refused.
NOT_TO_BE_SCORED = "the file lacks the encoding of its columns"
_OBJECTIVES = (
    ("y_real", "gaussian"), ("y_yes", "bernoulli"), ("y_four", "multinomial"), ("y_count", "poisson"),
    ("y_positive", "gamma"), ("y_claims", "tweedie"),
)  # fmt: skip


def xgboost() -> Iterator[Recipe]:
    """Return recipes of XGBoost."""

    def one(name: str, inputs: tuple[str, ...], response: str, table: str = "plain", **more: Any) -> Recipe:
        notes, refused = more.pop("notes", ""), more.pop("to_be_refused", "")
        parameters = SMALL | more
        return Recipe(
            f"xgboost_{name}", "xgboost", "XGBoost", inputs, response, parameters, table=table, to_be_refused=refused,
            notes=notes,
        )  # fmt: skip

    for booster in ("gbtree", "dart", "gblinear"):
        drop: dict[str, Any] = {"rate_drop": 0.5, "one_drop": True} if booster == "dart" else {}
        for response, distribution in _OBJECTIVES:
            name = f"{booster}_{distribution}"
            yield one(name, MIXED, response, booster=booster, distribution=distribution, **drop)
        yield one(f"{booster}_odd", ODD, "y_odd", table="odd", booster=booster, **drop)
        yield one(f"{booster}_offset", FEW, "y_count", booster=booster, distribution="poisson",
                  offset_column="offset", **drop)  # fmt: skip
    yield one("dart_forest", FEW, "y_real", booster="dart", normalize_type="forest", sample_type="weighted",
              rate_drop=0.4, ntrees=8)  # fmt: skip
    for matrix in ("dense", "sparse"):
        yield one(f"{matrix}_bernoulli", MIXED, "y_yes", dmatrix_type=matrix)
        yield one(f"{matrix}_linear", FEW, "y_real", dmatrix_type=matrix, booster="gblinear")
        yield one(f"{matrix}_numbers", NUMBERS, "y_four", dmatrix_type=matrix)
    for encoding in ("one_hot_internal", "sort_by_response", "eigen", "enum"):
        yield one(f"encoded_{encoding}", FEW, "y_yes", categorical_encoding=encoding)
    yield one("encoded_one_hot_explicit", FEW, "y_yes", categorical_encoding="one_hot_explicit", notes=ENCODED_COLUMNS)
    yield one("encoded_binary", FEW, "y_yes", categorical_encoding="binary", to_be_refused=NOT_TO_BE_SCORED)
    for encoding in ("label_encoder", "enum_limited"):
        yield one(
            f"encoded_{encoding}", INTEGERS, "y_yes", categorical_encoding=encoding, to_be_refused=NOT_TO_BE_SCORED
        )
    for response, distribution in (("y_real", "gaussian"), ("y_yes", "bernoulli"), ("y_positive", "gamma"),
                                   ("y_claims", "tweedie"), ("y_four", "multinomial")):  # fmt: skip
        yield one(f"offset_{distribution}", FEW, response, distribution=distribution, offset_column="offset")
    yield one("weights", MIXED, "y_yes", weights_column="weight")
    yield one("fold_column", FEW, "y_four", fold_column="fold")
    yield one("levels_only", LEVELS, "y_yes")
    yield one("wide", ("c300", "n1", "odd"), "y_real")
    for method in ("PlattScaling", "IsotonicRegression"):
        yield one(f"calibrated_{method}", FEW, "y_yes", calibrate_model=True, calibration_frame=FRAME,
                  calibration_method=method)  # fmt: skip
    yield one("monotone", NUMBERS, "y_real", monotone_constraints={"n1": 1, "n3": -1})
    for method in ("exact", "approx", "hist"):
        yield one(f"method_{method}", FEW, "y_real", tree_method=method, max_depth=6)
    yield one("lossguide", FEW, "y_yes", tree_method="hist", grow_policy="lossguide", max_leaves=9)
    yield one("weighted_classes", FEW, "y_rare", scale_pos_weight=6.0)
    yield one("single_leaves", FEW, "y_yes", min_split_improvement=1e6)
