"""Real models of every algorithm that H2O exports, against the numbers of its own scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.docs.pages import DOCS, read
from tests.runtime.mojo.matrix.agreement import Floats, assert_close, assert_scores, numbers
from tests.runtime.mojo.matrix.cases import BY_CLUSTER, ENTRIES, LOADED, REFUSED, Entry, named
from tests.runtime.mojo.matrix.kept import DATA, Expected, read_expected
from tests.runtime.mojo.matrix.rows import read_rows
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.load import MojoModel, load

#: Where genmodel and the cluster differ: what the page on MOJO files calls the case, and models of it. The reader gives
#: genmodel's answer, where it is none of `RIGHT_IN_THE_CLUSTER`, or refuses the file.
_DIFFERENCES = {
    "`eigen` and `enum_limited`": (
        "gbm_*_eigen", "drf_*_eigen", "deep_learning_encoded_eigen",
        "gbm_*_enum_limited", "gbm_limited_wide", "drf_*_enum_limited", "uplift_encoded_eigen",
    ),
    "a value that is left out, with `one_hot_explicit` or `binary`": (
        "drf_four_one_hot_explicit", "drf_*_binary", "stacked_base_drf_binary", "deep_learning_encoded_binary",
        "deep_learning_encoded_numbers_binary", "deep_learning_odd_two", "uplift_encoded_binary",
    ),
    "isolation forest with `contamination`": ("isolation_forest_contaminated",),
    "K-means with `standardize = false`": ("kmeans_*_raw",),
    "GAM with `missing_values_handling = skip`": ("gam_cubic_skip",),
    "GAM with I- or M-splines": ("gam_i_splines_*", "gam_m_splines_*"),
    "thin plates on standardised inputs": ("gam_thin_plate_standardized",),
    "GAM with an offset": ("gam_cubic_offset",),
    "deep learning with an offset": ("deep_learning_offset",),
    "deep learning trained with `enum_limited`": ("deep_learning_encoded_enum_limited", "deep_learning_limited_levels"),
    "XGBoost, K-means and extended isolation forests trained with `one_hot_explicit`": (
        "xgboost_encoded_one_hot_explicit", "kmeans_encoded_one_hot", "extended_isolation_forest_one_hot",
    ),
    "the same trained with `binary`": ("xgboost_encoded_binary", "xgboost_encoded_label_encoder", "kmeans_encoded"),
    "stacked ensembles of models that encode": ("stacked_encoded", "stacked_sorted"),
    "RuleFit with a level called `null`": ("rulefit_odd",),
}  # fmt: skip
_LEFT_OUT = "a value that is left out, with `one_hot_explicit` or `binary`"
#: Of rows without any probability these say that they have no class, over which genmodel stumbles.
_ORDINAL = ("glm_ordinal", "gam_cubic_ordinal")


def _is_one_of(entry: Entry, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(entry["name"], pattern) for pattern in patterns)


_AUTOENCODERS = [entry for entry in ENTRIES if entry["category"] == "AutoEncoder"]


@cache
def _rows(name: str) -> list[dict[str, str]]:
    return read_rows(DATA / name)


@cache
def _model(name: str) -> MojoModel:
    return load(DATA / name)


def _case(entry: Entry) -> tuple[MojoModel, Expected, list[dict[str, str]]]:
    return _model(entry["mojo"]), read_expected(DATA / entry["expected"]), _rows(entry["rows"])


def test_the_matrix_has_every_algorithm_in_many_shapes() -> None:
    algorithms = {entry["algorithm"] for entry in ENTRIES}

    assert len(ENTRIES) >= 150
    assert len(algorithms) == 18
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 20_000_000


@named(LOADED)
def test_scores_are_those_of_h2o(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    assert_scores(model, expected, rows, entry)


@named(BY_CLUSTER)
def test_scores_are_those_of_the_cluster_where_genmodel_is_wrong(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    assert expected.cluster is not None

    answers = model.predict(rows[: len(expected.cluster)])

    _assert_answers(model, answers, expected.cluster)
    for place in range(0, len(answers), 8):
        np.testing.assert_equal(model.predict(rows[place]), answers[place])


@named([entry for entry in ENTRIES if _is_one_of(entry, _DIFFERENCES[_LEFT_OUT])])
def test_a_missing_value_of_a_column_that_was_encoded_scores_as_in_the_cluster(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    assert expected.cluster is not None
    # genmodel does not find levels with blanks around them among the user's.
    clean = [place for place in range(len(expected.cluster)) if all(v == v.strip() for v in rows[place].values())]

    answers = model.predict([{name: rows[place].get(name) for name in entry["inputs"]} for place in clean])

    assert any(name not in rows[place] for place in clean for name in entry["inputs"])
    _assert_answers(model, answers, expected.cluster[clean])


def test_the_page_names_every_case_in_which_genmodel_and_the_cluster_differ() -> None:
    page = read(DOCS / "how-to" / "score-a-mojo.md").prose
    different = [entry for entry in ENTRIES if entry in BY_CLUSTER or (entry["cluster_difference"] or 0.0) > 1e-9]

    for entry in different:
        cases = [case for case, patterns in _DIFFERENCES.items() if _is_one_of(entry, patterns)]
        assert len(cases) == 1, entry["name"]
    for case, patterns in _DIFFERENCES.items():
        assert f"| {case}" in page
        assert any(_is_one_of(entry, patterns) for entry in different), case
    assert f"{len(ENTRIES)} models" in page


@named([entry for entry in ENTRIES if entry not in REFUSED and entry["algorithm"] not in ("glrm", "word2vec")])
def test_outputs_have_the_names_and_the_order_of_h2o_py(entry: Entry) -> None:
    cluster = read_expected(DATA / entry["expected"]).cluster_outputs

    if entry["algorithm"] == "kmeans":
        assert (_model(entry["mojo"]).outputs, cluster) == (("cluster",), ("predict",))
    else:
        # The kept names come from a CSV in which H2O does not double quotes; no file has what makes a standard error.
        wanted = [name.replace('"', "") for name in cluster if name != "StdErr"]
        assert [name.replace('"', "") for name in _model(entry["mojo"]).outputs] == wanted


@named([entry for entry in ENTRIES if entry not in REFUSED])
def test_a_model_asks_for_what_it_was_trained_on_and_each_once(entry: Entry) -> None:
    model, parameters = _model(entry["mojo"]), entry["parameters"]
    trained = {*entry["inputs"], "word"} if entry["algorithm"] == "word2vec" else set(entry["inputs"])
    for columns in parameters.get("gam_columns", ()):
        trained.update([columns] if isinstance(columns, str) else columns)

    asked = [spec.name for spec in model.signature.inputs]

    assert len(set(asked)) == len(asked)
    assert set(asked) <= trained | {parameters.get("offset_column")}


@pytest.mark.parametrize(
    ("name", "made"),
    [("gam_cubic_gaussian_identity", "n1_0_center_cs__0"), ("coxph_interaction_numbers", "n1_n2")],
)
def test_a_column_that_the_model_makes_need_not_be_given_and_may(name: str, made: str) -> None:
    (entry,) = [entry for entry in ENTRIES if entry["name"] == name]
    model, _, rows = _case(entry)

    given = model.predict({**rows[0], made: 2.0})

    assert made not in [spec.name for spec in model.signature.inputs]
    assert given != model.predict(rows[0])


@named(_AUTOENCODERS)
def test_the_error_of_a_reconstruction_is_told(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    readable = [place for place, refusal in enumerate(expected.strict_refusals) if not refusal]

    told = model.anomaly([rows[place] for place in readable])

    wanted = expected.values[readable, -1]
    known = ~np.isnan(wanted)
    assert {tuple(one) for one in told} == {("Reconstruction.MSE",)}
    got = np.array([one["Reconstruction.MSE"] for one in told])
    # genmodel has no error of a row where a number is missing; the cluster has, and so has the reader. Clean rows come
    # first: they have no infinities.
    assert expected.cluster is not None
    assert known.any()
    assert np.isfinite(got[: len(expected.cluster)]).all()
    np.testing.assert_allclose(got[known], wanted[known], rtol=1e-12)
    assert model.anomaly(rows[readable[0]]) == told[0]


@named([entry for entry in LOADED if entry["algorithm"] != "glrm"])
def test_one_row_scores_as_it_does_among_others(entry: Entry) -> None:
    model, expected, rows = _case(entry)
    scored = [place for place, refusal in enumerate(expected.refusals) if not refusal]

    together = model.predict([rows[place] for place in scored], invalid_as_missing=True)

    for place, answer in list(zip(scored, together, strict=True))[::4]:
        np.testing.assert_equal(model.predict(rows[place], invalid_as_missing=True), answer)


@named([entry for entry in LOADED if entry["refused_rows"]])
def test_rows_that_h2o_cannot_score_are_refused(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, refusal in enumerate(expected.refusals):
        if entry["name"].startswith(_ORDINAL) and "Index -1" in refusal:
            continue
        if entry["algorithm"] == "gam" and refusal.startswith("NumberFormatException"):
            continue  # genmodel forgets to take the text in a smoother's column as missing, as it was asked to
        if refusal:
            with pytest.raises(MojoRowError):
                model.predict(rows[place], invalid_as_missing=True)


@named([entry for entry in LOADED if entry["name"].startswith(_ORDINAL)])
def test_rows_without_any_probability_have_no_class(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, refusal in enumerate(expected.refusals):
        if "Index -1" in refusal:
            assert model.predict(rows[place], invalid_as_missing=True)["predict"] is None


@named(LOADED)
def test_texts_that_are_no_numbers_are_refused_where_h2o_refuses_them(entry: Entry) -> None:
    model, expected, rows = _case(entry)

    for place, (strict, lenient) in enumerate(zip(expected.strict_refusals, expected.refusals, strict=True)):
        if strict and not lenient:
            with pytest.raises(MojoRowError):
                model.predict(rows[place])


@named(REFUSED)
def test_files_that_cannot_be_scored_as_h2o_does_are_refused(entry: Entry) -> None:
    with pytest.raises((MojoFormatError, MojoUnsupportedError)):
        load(DATA / entry["mojo"])


def _assert_answers(model: MojoModel, answers: Sequence[Mapping[str, Any]], wanted: Floats) -> None:
    """Compare answers with the cluster's: codes of labels first where there are labels."""
    labels = model.answers.labels
    if labels is not None:
        assert [answer["predict"] for answer in answers] == [labels[int(code)] for code in wanted[:, 0]]
        wanted = wanted[:, 1:]
    got = np.array([numbers(answer, labelled=labels is not None) for answer in answers])
    assert_close(got, wanted, 1e-11 * np.abs(wanted))
