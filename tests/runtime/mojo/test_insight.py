"""What H2O's own scorer tells of single trees, for every forest and booster of the matrix.

Leaves are compared as they are. Contributions are sums of float32 in an order that is the same here and there, without
any function of a library in between: they have to be equal bit by bit. Probabilities of a stage have an `exp` in them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.mojo.damage import Memory, entries_of
from tests.runtime.mojo.matrix.insight import ROWS
from tests.runtime.mojo.matrix.kept import DATA, read_expected, read_index
from tests.runtime.mojo.matrix.rows import read_rows
from tidegate.runtime.mojo.errors import MojoFormatError, MojoRowError, MojoUnsupportedError
from tidegate.runtime.mojo.forests import GbmScorer
from tidegate.runtime.mojo.load import MojoModel, load, read
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.mojo.scorer import Rows
from tidegate.runtime.mojo.xgboost import XgboostScorer

Entry = Mapping[str, Any]

#: Of these the reader gives the cluster's answer: genmodel sees missing values alone, see `test_matrix`.
_ANOTHER_ROW = ("xgboost_encoded_one_hot_explicit",)
#: Trees of a single leaf: genmodel leaves them out of the contributions, which then do not add up to the prediction.
_SINGLE_LEAVES = "drf_single_leaf"
#: Trees that were dropped in training: genmodel leaves their factors out, to the same effect.
_DROPPED = "xgboost_dart"
_LENIENT = Policy(strict=False, invalid_as_missing=True)
_KEPT = [
    entry
    for entry in read_index()["models"]
    if "leaf_paths" in entry.get("kept_besides", ())
    and "to_be_refused" not in entry
    and entry["name"] not in _ANOTHER_ROW
]


def _with(kind: str, *, of: tuple[str, ...], but: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    entries = [
        entry
        for entry in _KEPT
        if kind in entry["kept_besides"] and entry["algorithm"] in of and not entry["name"].startswith(but or "\0")
    ]
    assert entries
    return pytest.mark.parametrize("entry", entries, ids=[entry["name"] for entry in entries])


@cache
def _case(name: str) -> tuple[MojoModel, dict[str, NDArray[Any]], list[dict[str, str]], Rows]:
    entry = next(entry for entry in _KEPT if entry["name"] == name)
    model = load(DATA / entry["mojo"])
    rows = read_rows(DATA / entry["rows"])[:ROWS]
    builder = model.builder
    numeric = np.vstack([builder.one(row, _LENIENT) for row in rows])
    return model, read_expected(DATA / entry["expected"]).more, rows, numeric


def _by_group(told: NDArray[Any], entry: Entry, trees: int) -> NDArray[Any]:
    """Return what is told of trees by group, then by class, as names count them: genmodel has the trees of a class side
    by side, but for XGBoost."""
    if entry["algorithm"] == "xgboost":
        return told
    groups = int(entry["parameters"].get("ntrees", 50))
    if trees % groups:
        groups = trees
    ordered: NDArray[Any] = told.reshape(len(told), trees // groups, groups).swapaxes(1, 2).reshape(len(told), trees)
    return ordered


def _readable(model: MojoModel, rows: Sequence[Mapping[str, str]]) -> list[int]:
    """Return the places of rows without a text in a column of numbers: leaves are not told of others."""
    found = []
    for place, row in enumerate(rows):
        with contextlib.suppress(MojoRowError):
            model.builder.one(row)
            found.append(place)
    return found


def _raw(model: MojoModel, rows: Rows) -> Any:
    """Return what the leaves of rows add up to in float64, as `contributions` has to."""
    if isinstance(model.scorer, XgboostScorer):
        booster = model._details._boosted()
        assert booster is not None
        values = booster._fields[3][booster._leaves(rows) + booster._begins]
        return values.sum(axis=1, dtype=np.float64) + float(booster._start)
    insight = model._details._trees()
    sums = insight._values(insight.leaves(rows)).sum(axis=1)
    if isinstance(model.scorer, GbmScorer):
        return sums + model.scorer.start
    share = sums / insight.model.forest.n_groups
    return 1.0 - share if model.header.n_classes == 2 else share


@_with("leaf_paths", of=("gbm", "drf", "isolation_forest", "uplift", "xgboost"))
def test_leaves_are_those_that_h2o_assigns(entry: Entry) -> None:
    model, kept, rows, _ = _case(entry["name"])
    chosen = _readable(model, rows)
    readable = [rows[place] for place in chosen]

    paths = model.leaf_assignment(readable)
    numbers = model.leaf_assignment(readable, "node_id")

    names = list(paths[0])
    assert names == list(numbers[0])
    assert len(set(names)) == len(names) == kept["leaf_paths"].shape[1]
    told = [[row[name] for name in names] for row in paths]
    assert told == _by_group(kept["leaf_paths"], entry, len(names))[chosen].tolist()
    told = [[row[name] for name in names] for row in numbers]
    assert told == _by_group(kept["leaf_ids"], entry, len(names))[chosen].tolist()
    assert len(chosen) > ROWS // 2


@_with("stages", of=("gbm", "drf"))
def test_probabilities_of_stages_are_those_of_h2o(entry: Entry) -> None:
    model, kept, _, numeric = _case(entry["name"])

    told = model._details.stages()[1](numeric, None)

    stages = kept["stages"]
    assert told.shape == stages.shape
    # A softmax has a last bit of each `exp`, the sum and the quotient; two classes have 1 minus the other one.
    largest = np.maximum(np.abs(stages), 1.0 if entry["category"] == "Binomial" else 0.0)
    allowed = np.spacing(largest) * (4 if entry["category"] == "Multinomial" else 1)
    assert (np.abs(told - stages) <= allowed).all()


@_with("stages", of=("gbm", "drf"))
def test_the_last_stage_is_the_prediction(entry: Entry) -> None:
    model, _, _, numeric = _case(entry["name"])

    names, tell = model._details.stages()
    last = tell(numeric, None)[:, -1]

    scores = model.scores(numeric, None)
    classes = model.header.n_classes
    place = 0 if classes < 2 else 1 if len({name.rpartition(".")[2] for name in names}) == 1 else classes
    np.testing.assert_allclose(last, scores[:, place], rtol=1e-15, atol=0)


@_with("contributions", of=("gbm", "drf", "xgboost"), but=(_SINGLE_LEAVES, _DROPPED))
def test_contributions_are_those_of_h2o_bit_by_bit(entry: Entry) -> None:
    model, kept, _, numeric = _case(entry["name"])

    names, tell = model._details.contributions()

    assert list(names) == kept["contribution_names"].tolist()
    told = tell(numeric, None)
    assert told.dtype == np.float32
    np.testing.assert_array_equal(told, kept["contributions"])


@_with("contributions", of=("gbm", "drf", "xgboost"), but=(_DROPPED,))
def test_contributions_add_up_to_the_prediction_before_its_link(entry: Entry) -> None:
    model, _, _, numeric = _case(entry["name"])

    told = model._details.contributions()[1](numeric, None).astype(np.float64)

    # Each of the float32 numbers that were added has half a last bit of its own and of the sum's largest part.
    sums, sizes = told.sum(axis=1), np.abs(told).sum(axis=1)
    raw = _raw(model, numeric)
    trees = len(model.leaf_assignment({}))
    allowed = (told.shape[1] + 8 * trees) * np.spacing(np.maximum(sizes, np.abs(raw)).astype(np.float32))
    assert (np.abs(sums - raw) <= allowed).all()


def test_models_without_trees_or_stages_or_shares_say_so() -> None:
    for name, ask in (
        ("xgboost_gblinear_bernoulli", MojoModel.leaf_assignment),
        ("xgboost_gblinear_bernoulli", MojoModel.contributions),
        ("xgboost_gbtree_bernoulli", MojoModel.staged_probabilities),
        ("xgboost_gbtree_multinomial", MojoModel.contributions),
        ("isolation_forest_mixed", MojoModel.staged_probabilities),
        ("isolation_forest_mixed", MojoModel.contributions),
        ("xgboost_dart_bernoulli", MojoModel.contributions),
        ("gbm_multinomial", MojoModel.contributions),
        ("drf_two_double_trees", MojoModel.contributions),
        ("glm_binomial_logit", MojoModel.leaf_assignment),
    ):
        path = DATA / "models" / f"{name}.zip"
        with pytest.raises(MojoUnsupportedError):
            ask(load(path), {})


@pytest.mark.parametrize("algorithm", ["gbm", "drf"])
def test_damaged_notes_of_the_training_are_refused_when_they_are_asked_for(algorithm: str) -> None:
    entries = entries_of(DATA / "models" / f"{algorithm}_{'bernoulli' if algorithm == 'gbm' else 'two'}.zip")
    name = "trees/t00_001_aux.bin"
    for data in (b"", entries[name][:-1], entries[name] + b"\0", None):
        changed = {key: value for key, value in entries.items() if key != name}
        model = read(Memory(changed if data is None else changed | {name: data}))
        with pytest.raises(MojoFormatError, match="t00_001_aux"):
            model.leaf_assignment({}, "node_id")
        with pytest.raises(MojoFormatError, match="t00_001_aux"):
            model.contributions({})


@pytest.mark.parametrize("details", [b"", b"{", b"[]", b"[" * 100_000, b"\xff"])
def test_importances_that_cannot_be_read_are_refused(details: bytes) -> None:
    entries = entries_of(DATA / "models" / "drf_two.zip")
    model = read(Memory(entries | {"experimental/modelDetails.json": details}))
    with pytest.raises((MojoFormatError, MojoUnsupportedError)):
        model.contributions({})
