from __future__ import annotations

import numpy as np
import pytest

from tests.runtime.mojo.numeric_models import LENIENT, changed, damaged, expected, model, rows_of, scored, survives
from tidegate.runtime.mojo.deep_learning import AutoencoderScorer
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.registry import read_model

NAMES = ("rectifier", "tanh", "maxout_with_dropout", "value", "events", "auto")


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_h2o(name: str) -> None:
    found = scored(model(f"dl_{name}"))
    wanted = expected(f"dl_{name}")
    assert name != "auto" or list(found) == list(wanted)
    for output, column in zip(found, wanted, strict=True):
        if output == "predict" and isinstance(wanted[column][0], str):
            assert found[output].tolist() == wanted[column]
        else:
            np.testing.assert_allclose(found[output], wanted[column], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["rectifier", "value", "maxout_with_dropout"])
def test_sums_are_made_in_the_order_of_h2o(name: str) -> None:
    found = scored(model(f"dl_{name}"))
    wanted = expected(f"dl_{name}")
    for output, column in list(zip(found, wanted, strict=True))[1 if len(wanted) > 1 else 0 :]:
        assert np.mean(found[output] == np.array(wanted[column])) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_a_row_scores_alone_as_it_does_among_others(name: str) -> None:
    loaded = model(f"dl_{name}")
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    together = loaded.scorer.score(rows)
    for row in range(10):
        np.testing.assert_array_equal(loaded.scorer.score(rows[row : row + 1])[0], together[row])


@pytest.mark.parametrize("name", ["value", "tanh"])
def test_a_score_that_is_not_a_number_is_an_error(name: str) -> None:
    scorer = model(f"dl_{name}").scorer
    rows = np.zeros((3, scorer.header.n_features))
    rows[1, -1] = np.inf
    rows[2, -1] = -np.inf
    try:
        found = scorer.score(rows)
    except MojoRowError as error:
        assert str(error).startswith(("row 1", "row 2"))  # noqa: PT017 - a saturated layer may hide the infinity
    else:
        assert not np.isnan(found).any()


def test_a_missing_number_is_the_mean_of_the_training() -> None:
    scorer = model("dl_value").scorer
    sub = scorer.header.keys.numbers("norm_sub")
    rows = np.zeros((2, scorer.header.n_features))
    rows[0, -1] = np.nan
    rows[1, -1] = sub[-1]
    first, second = scorer.score(rows)
    assert first == pytest.approx(second, rel=1e-15)


def test_the_error_of_a_reconstruction_counts_numbers_on_the_scale_of_the_network() -> None:
    scorer = model("dl_auto").scorer
    assert isinstance(scorer, AutoencoderScorer)
    loaded = model("dl_auto")
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    errors = scorer.errors(rows)
    assert errors.shape == (120,)
    assert (errors > 0).all()
    keys = scorer.header.keys
    scales, slots = keys.numbers("norm_mul"), int(keys.integers("cat_offsets")[-1])
    row = next(r for r in range(120) if not np.isnan(rows[r]).any())
    given = scorer.score(rows[row : row + 1])[0]
    cats = keys.integer("cats")
    hot = np.zeros(slots)
    for index, offset in enumerate(keys.integers("cat_offsets")[:-1]):
        hot[offset + int(rows[row, index])] = 1.0
    numbers = (given[slots:] - rows[row, cats:]) * scales
    assert errors[row] == pytest.approx(np.mean(np.concatenate([given[:slots] - hot, numbers]) ** 2), rel=1e-12)


def test_a_network_with_limited_levels_takes_the_columns_of_the_training() -> None:
    loaded = model("dl_enum_limited")
    assert [field.name for field in loaded.fields] == ["size", "kind", "count", "town", "rate"]
    assert [field.first for field in loaded.fields] == [2, 1, 3, 0, 4]


def test_an_offset_above_0_moves_a_score_as_far_and_another_one_does_not() -> None:
    loaded = model("dl_value")
    keys = loaded.scorer.header.keys
    mean = float(keys.numbers("norm_resp_sub", 1)[0])
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    plain = loaded.scorer.score(rows)[:, 0]
    for offset, moved in ((0.0, 0.0), (-3.0, 0.0), (np.nan, 0.0), (2.5, 2.5 - mean)):
        found = loaded.scorer.score(rows, np.full(120, offset))[:, 0]
        np.testing.assert_allclose(found, plain + moved, rtol=1e-12, atol=1e-14)


def test_an_offset_is_added_before_the_link() -> None:
    loaded = model("dl_events")
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    capped = 1e19
    found, plain = loaded.scorer.score(rows, np.full(120, 0.5)), loaded.scorer.score(rows)
    np.testing.assert_allclose(found, np.minimum(plain * np.exp(0.5), capped), rtol=1e-12)


def test_the_texts_of_weights_take_no_memory_once_they_were_read() -> None:
    keys = model("dl_tanh").header.keys
    assert "bias_layer0" in keys
    assert not any(name.startswith("weight_layer") for name, _ in keys.items())


@pytest.mark.parametrize(
    ("replaced", "problem"),
    [
        ({"weight_layer0": "[1.0]"}, "weight_layer0"),
        ({"bias_layer1": "[1.0]"}, "bias_layer1"),
        ({"neural_network_sizes": "[7]"}, "at least two"),
        ({"norm_sub": "[1.0]"}, "norm_sub"),
        ({"hidden_dropout_ratios": "[0.1, 0.1, 0.1, 0.1]", "activation": "TanhWithDropout"}, "4 ratios"),
    ],
)
def test_damage_is_named(replaced: dict[str, str], problem: str) -> None:
    with pytest.raises(MojoFormatError, match=problem):
        read_model(changed("dl_value", replaced))


def test_what_h2o_fails_for_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="Sigmoid"):
        read_model(changed("dl_value", {"activation": "Sigmoid"}))
    with pytest.raises(MojoUnsupportedError, match="max_categorical_features"):
        read_model(changed("dl_value", {"neural_network_sizes": "[9, 6, 5, 1]"}))


@pytest.mark.parametrize("name", ["dl_tanh", "dl_value", "dl_auto"])
def test_damaged_files_are_refused_and_nothing_worse(name: str) -> None:
    for container in damaged(name, 50):
        survives(container)
