from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.mojo.numeric_models import (
    Memory,
    changed,
    damaged,
    entries_of,
    expected,
    model,
    rows_of,
    scored,
    survives,
    worst_ulps,
)
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.gam import GamScorer
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.values import ABSENT

BY_CLUSTER = ("i", "m", "mixed", "plate_std")


@pytest.mark.parametrize("name", ["gaussian", "multinomial", "ordinal", "plate"])
def test_scores_are_those_of_h2o(name: str) -> None:
    found = scored(model(f"gam_{name}"))
    wanted = expected(f"gam_{name}")
    for output, column in zip(found, wanted, strict=True):
        if isinstance(wanted[column][0], str):
            assert found[output].tolist() == wanted[column]
        else:
            assert worst_ulps(found[output], wanted[column]) <= 8.0


@pytest.mark.parametrize("name", BY_CLUSTER)
def test_where_the_scorer_of_h2o_is_wrong_scores_are_the_clusters(name: str) -> None:
    loaded = model(f"gam_{name}")
    found = scored(loaded)["predict"]
    wanted = np.array(expected(f"gam_{name}", "cluster")["predict"])
    given = rows_of(loaded)
    # Far from all knots sums of cubes cancel each other out, and the order of the sums shows.
    near = np.array([size is ABSENT or abs(float(size)) < 100.0 for size in given["size"]])
    if name == "plate_std":
        # For a missing input of a plate the cluster takes a mean of the very frame that it scores.
        near &= [ABSENT not in pair for pair in zip(given["size"], given["rate"], strict=True)]
    np.testing.assert_allclose(found[near], wanted[near], rtol=1e-11, atol=1e-13)


def test_inputs_of_smoothers_follow_the_features() -> None:
    loaded = model("gam_mixed")
    assert isinstance(loaded.scorer, GamScorer)
    assert loaded.scorer.more_inputs == ("size", "rate")
    assert {"size", "rate", "kind"} <= set(rows_of(loaded))


def test_a_row_that_holds_the_columns_of_the_smoothers_is_taken_at_its_word() -> None:
    scorer = model("gam_gaussian").scorer
    assert isinstance(scorer, GamScorer)
    features = scorer.header.n_features
    rows = np.full((2, features + 2), np.nan)
    rows[:, 0] = 1.0
    rows[:, features:] = (0.3, 1.5)
    expanded = scorer.expanded(rows)
    rows[1, :features] = expanded[0]
    rows[1, features:] = (77.0, -5.0)
    first, second = scorer.score(rows)
    assert first == second


def test_a_missing_input_makes_missing_columns_of_its_smoother_alone() -> None:
    scorer = model("gam_mixed").scorer
    assert isinstance(scorer, GamScorer)
    features = scorer.header.n_features
    rows = np.full((1, features + 2), np.nan)
    rows[0, 0] = 0.0
    rows[0, features] = 0.5
    missing = np.isnan(scorer.expanded(rows)[0])
    assert 0 < missing.sum() < features - 1
    assert not np.isnan(scorer.score(rows)).any()


@pytest.mark.parametrize(
    ("replaced", "problem"),
    [
        ({"bs_sorted": "[0, 7]"}, "no kind of smoother is 7"),
        ({"num_knots_sorted": "[6, 1]"}, "of 1 knots"),
        ({"num_knots_sorted": "[6, 7]"}, "ends before"),
        ({"num_knots_sorted": "[6]"}, "num_knots_sorted"),
        ({"num_knots_sorted": "[6, 5]"}, "belong to no smoother|do not ascend"),
        ({"_d": "[1, 2]"}, "names"),
        ({"_d": "[1, 0]"}, "1 to 30 inputs"),
        ({"num_expanded_gam_columns_center": "9"}, "the smoothers make 10"),
        ({"numsCenter": "4"}, "numNAFillsCenter|features"),
        ({"beta_center": "[1.0]"}, "beta_center"),
    ],
)
def test_damage_is_named(replaced: dict[str, str], problem: str) -> None:
    with pytest.raises(MojoFormatError, match=problem):
        read_model(changed("gam_gaussian", replaced))


def test_an_order_of_a_spline_that_cannot_be_is_refused() -> None:
    for orders in ("[0, 2]", "[3, 1000]", "[3]"):
        with pytest.raises(MojoFormatError, match="spline_orders_sorted"):
            read_model(changed("gam_m", {"spline_orders_sorted": orders}))


def test_entries_that_are_missing_are_named() -> None:
    for entry in ("knots", "zTranspose", "_binvD", "gam_columns_sorted"):
        entries = entries_of("gam_gaussian")
        del entries[entry]
        with pytest.raises(MojoFormatError, match=entry):
            read_model(Memory(entries))


def test_a_family_that_is_not_known_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="cauchy"):
        read_model(changed("gam_gaussian", {"family": "cauchy"}))


@pytest.mark.parametrize("name", ["gam_multinomial", "gam_plate_std", "gam_i", "gam_m"])
def test_damaged_files_are_refused_and_nothing_worse(name: str) -> None:
    for container in damaged(name, 40):
        survives(container)
