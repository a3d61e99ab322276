from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.mojo.boosters import F32, Leaf, Split, Tree, booster_bytes, inputs_of, leaf_of
from tests.runtime.mojo.numeric_models import (
    LENIENT,
    Memory,
    changed,
    damaged,
    expected,
    model,
    rows_of,
    scored,
    survives,
)
from tidegate.runtime.mojo import xgboost_layout
from tidegate.runtime.mojo.booster_bytes import ENTRY
from tidegate.runtime.mojo.errors import MojoFormatError, MojoUnsupportedError
from tidegate.runtime.mojo.onnx_export.boosters import trees_of
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.xgboost import XgboostScorer
from tidegate.runtime.trees import Tree as GraphTree

NAMES = [f"{booster}_{kind}" for booster in ("gbtree", "dart", "gblinear") for kind in ("sparse", "dense")]
OFFSETS = [0, 3, 5]
NUMBERS = 2
FEATURES = OFFSETS[-1] + NUMBERS
THRESHOLDS = [-1.0, 0.0, 0.5, 1.0, 1.5, float(F32(0.1)), math.nan, math.inf]

trees = st.recursive(
    st.builds(Leaf, st.floats(-2, 2, width=32)),
    lambda inner: st.builds(
        Split, st.integers(0, FEATURES - 1), st.sampled_from(THRESHOLDS), st.booleans(), inner, inner
    ),
    max_leaves=12,
)
values = st.sampled_from([math.nan, 0.0, -0.0, 0.1, 0.5, 1.0, -1.0, 1e-50, 1e300, math.inf])
levels = st.sampled_from([math.nan, 0.0, 1.0, 2.0, 9.0])
rows_of_numbers = st.lists(st.tuples(levels, levels, values, values), min_size=1, max_size=9)


def made_up(forest: list[Tree], *, sparse: bool, every_level: bool, **more: object) -> Memory:
    lines = {
        "algorithm": "XGBoost", "mojo_version": "1.10", "category": "Regression", "supervised": "true",
        "n_features": "4", "n_classes": "1", "n_columns": "5", "cats": "2", "nums": "2", "cat_offsets": str(OFFSETS),
        "use_all_factor_levels": str(every_level).lower(), "sparse": str(sparse).lower(), "booster": "gbtree",
    }  # fmt: skip
    ini = "[info]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items()) + "\n[columns]\na\nb\nc\nd\ny\n"
    data = booster_bytes([(0, tree) for tree in forest], features=FEATURES, **more)  # type: ignore[arg-type]
    return Memory({"model.ini": ini.encode(), ENTRY: data})


@pytest.mark.parametrize("name", [*NAMES, "events", "offset"])
def test_scores_are_those_of_h2o(name: str) -> None:
    found = scored(model(f"xgb_{name}"))
    wanted = expected(f"xgb_{name}")
    for output, column in zip(found, wanted, strict=True):
        if name == "events":
            np.testing.assert_allclose(found[output], wanted[column], rtol=2e-7)
        else:
            assert found[output].tolist() == wanted[column]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_scores_alone_as_it_does_among_others(name: str) -> None:
    loaded = model(f"xgb_{name}")
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    many = np.ascontiguousarray(np.tile(rows, (5, 1)))
    together = loaded.scorer.score(many)
    for row in range(20):
        np.testing.assert_array_equal(loaded.scorer.score(rows[row : row + 1])[0], together[row + 480])


@contextmanager
def laid_out(*, complete: bool) -> Iterator[None]:
    """Let trees be complete, however much memory that takes, or linked, however little that saves."""
    limits = {"MAX_COMPLETE_DEPTH": 12 if complete else -1, "NODE_BYTES": 0, "LEAF_BYTES": 0}
    with patch.multiple(xgboost_layout, **limits):
        yield


def read_as(container: Memory, *, complete: bool) -> XgboostScorer:
    with laid_out(complete=complete):
        scorer = read_model(container)
    assert isinstance(scorer, XgboostScorer)
    assert scorer.layout is not None
    assert (scorer.layout.depth >= 0) == complete
    return scorer


@pytest.mark.parametrize("complete", [True, False])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(trees, min_size=1, max_size=20), rows_of_numbers, st.booleans(), st.tuples(st.booleans(), st.booleans())
)
def test_trees_are_walked_by_the_rules(
    complete: bool, forest: list[Tree], rows: list[tuple[float, ...]], sparse: bool, style: tuple[bool, bool]
) -> None:
    every_level, old = style
    version = (1, 2) if old else (1, 6)
    container = made_up(forest, sparse=sparse, every_level=every_level, version=version, base=0.3)
    scorer = read_as(container, complete=complete)
    matrix = np.array(rows, dtype=np.float64)
    found = scorer.score(matrix)[:, 0]
    assert [scorer.score(matrix[row : row + 1])[0, 0] for row in range(len(rows))] == found.tolist()
    for row, score in zip(rows, found, strict=True):
        inputs = inputs_of(list(row), OFFSETS, first_level=0 if every_level else 1, sparse=sparse)
        margin = F32(0.0) if old else F32(0.3)
        for tree in forest:
            margin = F32(margin + F32(leaf_of(tree, inputs)))
        assert score == float(F32(margin + F32(0.3)) if old else margin)


@pytest.mark.parametrize("name", [name for name in NAMES if "linear" not in name] + ["events", "offset"])
def test_complete_and_linked_trees_score_to_the_same_bits(name: str) -> None:
    loaded = model(f"xgb_{name}")
    rows, _ = loaded.rows(rows_of(loaded), 120, LENIENT)
    with laid_out(complete=True):
        complete = model(f"xgb_{name}").scorer
    with laid_out(complete=False):
        linked = model(f"xgb_{name}").scorer
    assert isinstance(complete, XgboostScorer)
    assert isinstance(linked, XgboostScorer)
    assert (complete.layout.depth >= 0, linked.layout.depth) == (True, -1)  # type: ignore[union-attr]
    for some in (rows, rows[:1], np.ascontiguousarray(np.tile(rows, (9, 1)))):
        np.testing.assert_array_equal(complete.score(some), linked.score(some))


def test_trees_that_are_balanced_are_complete_and_take_less_memory() -> None:
    def balanced(depth: int) -> Tree:
        return Leaf(1.0) if depth == 0 else Split(5, float(depth), False, balanced(depth - 1), balanced(depth - 1))

    def crooked(depth: int) -> Tree:
        return Leaf(1.0) if depth == 0 else Split(5, float(depth), False, Leaf(2.0), crooked(depth - 1))

    def layout(*trees: Tree) -> xgboost_layout.Layout:
        scorer = read_model(made_up(list(trees), sparse=False, every_level=True))
        assert isinstance(scorer, XgboostScorer)
        assert scorer.layout is not None
        return scorer.layout

    full = layout(balanced(6), balanced(5))
    assert full.depth == 6
    assert full.tests.nbytes + full.leaves.nbytes < 16 * (127 + 63)
    assert not full.nodes.size
    assert layout(crooked(8)).depth == layout(balanced(11)).depth == -1


def test_a_graph_has_the_same_trees_of_either_layout() -> None:
    forest: list[Tree] = [
        Split(0, 0.5, True, Split(5, 0.5, True, Leaf(1.0), Leaf(2.0)), Leaf(3.0)),
        Split(6, 1.5, False, Leaf(4.0), Split(4, 0.5, True, Leaf(5.0), Split(5, -1.0, True, Leaf(6.0), Leaf(7.0)))),
        Leaf(8.0),
    ]
    container = made_up(forest, sparse=True, every_level=True)
    found = [
        [nested(tree, 0) for tree in trees.trees]
        for complete in (True, False)
        if (trees := trees_of(read_as(container, complete=complete))) is not None
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert found[0][2] == 8.0


def nested(tree: GraphTree, node: int) -> object:
    threshold = float(tree.threshold[node])
    if tree.yes[node] < 0:
        return threshold
    test = int(tree.feature[node]), int(tree.mode[node]), threshold, bool(tree.missing_yes[node])
    return (*test, nested(tree, int(tree.yes[node])), nested(tree, int(tree.no[node])))


def test_a_tree_that_is_as_deep_as_it_has_nodes_is_walked_to_its_end() -> None:
    tree: Tree = Leaf(-1.0)
    for depth in reversed(range(200)):
        tree = Split(5, float(depth), False, Leaf(float(depth)), tree)
    scorer = read_model(made_up([tree], sparse=False, every_level=True, base=0.0))
    rows = np.zeros((5, 4))
    rows[:, 2] = (-1.0, 0.0, 57.5, 198.9, 1e9)
    assert scorer.score(rows)[:, 0].tolist() == [0.0, 1.0, 58.0, 199.0, -1.0]


def test_an_offset_takes_the_place_of_the_base_margin() -> None:
    scorer = model("xgb_offset").scorer
    rows = np.zeros((2, scorer.header.n_features))
    without = scorer.score(rows)
    np.testing.assert_array_equal(without, scorer.score(rows, np.zeros(2)))
    assert (scorer.score(rows, np.array([1.0, -1.0]))[:, 2] - without[:, 2] > 0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("replaced", "problem"),
    [({"n_features": "4"}, "nums"), ({"cat_offsets": "[0, 3, 3]"}, "no place"), ({"nums": "2"}, "has not")],
)
def test_damage_is_named(replaced: dict[str, str], problem: str) -> None:
    with pytest.raises(MojoFormatError, match=problem):
        read_model(changed("xgb_gbtree_dense", replaced))


def test_children_that_make_no_tree_are_refused() -> None:
    container = made_up([Split(5, 0.5, True, Leaf(1.0), Leaf(2.0))], sparse=False, every_level=True)
    data = bytearray(container.entries[ENTRY])
    at = data.index(b"\xff\xff\xff\xff\x01\x00\x00\x00\x02\x00\x00\x00")
    for left in (0, 7, -3):
        data[at + 4 : at + 8] = left.to_bytes(4, "little", signed=True)
        with pytest.raises(MojoFormatError, match="no tree"):
            read_model(Memory({**container.entries, ENTRY: bytes(data)}))


def test_an_objective_that_is_not_known_is_refused() -> None:
    with pytest.raises(MojoUnsupportedError, match="survival"):
        read_model(made_up([Leaf(1.0)], sparse=False, every_level=True, objective="survival:cox"))


@pytest.mark.parametrize("name", ["xgb_gbtree_sparse", "xgb_dart_dense", "xgb_gblinear_dense"])
def test_damaged_files_are_refused_and_nothing_worse(name: str) -> None:
    for container in [*damaged(name, 40), *damaged(name, 40, only=ENTRY)]:
        survives(container)
