from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.mojo.numeric_models import (
    LENIENT,
    changed,
    damaged,
    expected,
    model,
    rows_of,
    scored,
    survives,
    worst_ulps,
)
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.registry import read_model

NAMES = ("binomial", "gaussian", "poisson", "ordinal", "multinomial", "share", "offset")


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_h2o(name: str) -> None:
    found = scored(model(f"glm_{name}"))
    wanted = expected(f"glm_{name}")
    several = name in ("ordinal", "multinomial")
    for output, column in zip(found, wanted, strict=True):
        if isinstance(wanted[column][0], str):
            assert found[output].tolist() == wanted[column]
        elif output == "predict" and name == "share":
            assert [int(label) for label in found[output]] == wanted[column]
        else:
            assert worst_ulps(found[output], wanted[column]) <= (8.0 if several else 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_scores_alone_as_it_does_among_others(name: str) -> None:
    loaded = model(f"glm_{name}")
    rows, offset = loaded.rows(rows_of(loaded), 120, LENIENT)
    together = loaded.scorer.score(rows, offset)
    for row in range(11):
        alone = loaded.scorer.score(rows[row : row + 1], None if offset is None else offset[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])


def test_a_missing_level_that_is_not_filled_in_is_an_error_and_a_missing_number_is_none() -> None:
    scorer = model("glm_skip").scorer
    rows = np.zeros((2, scorer.header.n_features))
    rows[1, scorer.header.features.index("size")] = np.nan
    first, second = scorer.score(rows)
    assert not np.isnan(first).any()
    assert second[0] == 0.0
    assert np.isnan(second[1:]).all()
    rows[1, scorer.header.features.index("kind")] = np.nan
    with pytest.raises(MojoRowError, match="row 1: 'kind' is missing"):
        scorer.score(rows)


@pytest.mark.parametrize("value", [0.5, -1.0, 1e12, np.inf])
def test_what_is_no_level_is_an_error(value: float) -> None:
    scorer = model("glm_gaussian").scorer
    rows = np.zeros((1, scorer.header.n_features))
    rows[0, 0] = value
    with pytest.raises(MojoRowError, match="is no level"):
        scorer.score(rows)


def test_a_level_beyond_the_coefficients_counts_for_nothing() -> None:
    scorer = model("glm_gaussian").scorer
    rows = np.zeros((2, scorer.header.n_features))
    rows[:, 0] = (1000.0, 1001.0)
    one, other = scorer.score(rows)
    assert one == other


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("beta", "[1.0]", "coefficients"),
        ("beta", None, "missing"),
        ("cat_offsets", "[0, 9, 3]", "do not fall"),
        ("cat_modes", "[-1, 0]", "negative"),
        ("num_means", "[0.0]", "expected 3 values"),
        ("cats", "100", "cats"),
    ],
)
def test_damage_is_named(key: str, value: str | None, problem: str) -> None:
    with pytest.raises(MojoFormatError, match=problem):
        read_model(changed("glm_gaussian", {key: value}))


def test_a_family_or_a_link_that_is_not_known_is_refused() -> None:
    for replaced in ({"family": "cauchy"}, {"link": "probit"}):
        with pytest.raises(MojoUnsupportedError, match="not known"):
            read_model(changed("glm_gaussian", replaced))
    with pytest.raises(MojoUnsupportedError, match="oprobit"):
        read_model(changed("glm_ordinal", {"link": "oprobit"}))


@pytest.mark.parametrize(
    ("link", "power", "mean"),
    [("inverse", "0", -1 / 800), ("tweedie", "0", 2e-16), ("tweedie", "1", -800.0), ("log", "0", 0.0)],
)
def test_links_of_a_very_low_predictor(link: str, power: str, mean: float) -> None:
    replaced = {"link": f"{link}\ntweedie_link_power = {power}"}
    size = len(read_model(changed("glm_gaussian", {})).header.keys.numbers("beta"))
    container = changed("glm_gaussian", replaced | {"beta": str([0.0] * (size - 1) + [-800.0])})
    scorer = read_model(container)
    value = scorer.score(np.zeros((1, scorer.header.n_features)))[0, 0]
    assert value == pytest.approx(mean)


def test_damaged_files_are_refused_and_nothing_worse() -> None:
    for name in ("glm_binomial", "glm_multinomial", "glm_ordinal"):
        for container in damaged(name, 60):
            survives(container)
