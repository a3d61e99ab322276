"""Models of H2O as ONNX graphs, on ONNX Runtime: the numbers of the models, and those of H2O's own scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

from tests.runtime.mojo.matrix.kept import DATA, read_expected, read_index
from tests.runtime.mojo.matrix.rows import read_rows
from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.runtime.mojo.errors import MojoRowError
from tidegate.runtime.mojo.load import MojoModel, load
from tidegate.runtime.mojo.onnx_export import check, export
from tidegate.runtime.mojo.onnx_export.export import TOLERANCE, graph_of
from tidegate.runtime.mojo.values import number

Entry = Mapping[str, Any]

_EXPORTED = ("gbm", "drf", "isolation_forest", "xgboost", "glm", "deep_learning", "kmeans", "pca")
#: What of these algorithms no graph is made of, and what the message says of it.
_NOT_EXPORTED = {
    "isotonic calibration": 6,
    "linear booster": 10,
    "ordinal": 3,
    "autoencoder": 6,
}
_INDEX: list[Entry] = read_index()["models"]


def _exported() -> list[Entry]:
    return [entry for entry in _INDEX if entry["algorithm"] in _EXPORTED and "failure" not in entry]


def _columns(model: MojoModel, rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the rows as the graph takes them; a text that a numeric column cannot have is NaN."""
    columns: dict[str, Any] = {}
    for field in model.fields:
        if field.kind == "number":
            given = [row.get(field.name, "NaN") for row in rows]
            columns[field.name] = np.array([number(one, field.name, invalid_as_missing=True) for one in given])
        else:
            unknown = "no level" if "" in field.values else ""
            columns[field.name] = np.array([row.get(field.name, unknown) for row in rows], dtype=object)
    if model.offset_column is not None:
        given = [row.get(model.offset_column, "0") for row in rows]
        columns[model.offset_column] = np.array([float(one) for one in given])
    return columns


@pytest.mark.parametrize("entry", _exported(), ids=lambda entry: entry["name"])
def test_graphs_have_the_numbers_of_their_models(entry: Entry) -> None:
    try:
        model = load(DATA / entry["mojo"])
    except (mojo.MojoFormatError, mojo.MojoUnsupportedError):
        assert "to_be_refused" in entry
        return
    rows = read_rows(DATA / entry["rows"])
    try:
        graph = graph_of(model)
    except mojo.MojoUnsupportedError as error:
        assert any(reason in str(error) for reason in _NOT_EXPORTED)  # noqa: PT017 - most have none
        return

    columns = _columns(model, rows)
    if entry["algorithm"] == "deep_learning":
        # The order of a network's sums is not H2O's: of huge numbers that cancel each other out little is left.
        numbers = [values for values in columns.values() if values.dtype != object]
        usual = np.all([~np.isfinite(one) | (np.abs(one) < 1e100) for one in numbers] or [[True] * len(rows)], axis=0)
        assert usual.sum() > 0.8 * len(usual)
        columns = {name: values[usual] for name, values in columns.items()}
    on_own_rows = check.compare(model, graph, columns)
    on_drawn_rows = check.compare(model, graph)

    for found in (on_own_rows, on_drawn_rows):
        assert found.labels_agree
        assert found.worst <= TOLERANCE
    assert on_own_rows.rows > 50


def test_few_models_of_these_algorithms_are_refused() -> None:
    refused = dict.fromkeys(_NOT_EXPORTED, 0)
    for entry in _exported():
        try:
            graph_of(load(DATA / entry["mojo"]))
        except mojo.MojoUnsupportedError as error:
            for reason in refused:
                refused[reason] += reason in str(error)
        except mojo.MojoFormatError:
            continue
    assert refused == _NOT_EXPORTED


@pytest.mark.parametrize(
    "name", ["gbm_bernoulli", "drf_four", "xgboost_gbtree_gaussian", "glm_gaussian_log", "isolation_forest_mixed"]
)
def test_graphs_have_the_numbers_of_h2os_scorer(name: str) -> None:
    entry = next(one for one in _INDEX if one["name"] == name)
    model, expected = load(DATA / entry["mojo"]), read_expected(DATA / entry["expected"])
    answers = check.theirs(graph_of(model), _columns(model, read_rows(DATA / entry["rows"])))
    scored = np.array([not refusal for refusal in expected.refusals])
    for place, output in enumerate(model.outputs[: expected.values.shape[1]]):
        if answers[output].dtype == object:
            continue
        np.testing.assert_allclose(answers[output][scored], expected.values[scored, place], rtol=1e-12)


@pytest.mark.parametrize("entry", [e for e in _INDEX if e["algorithm"] not in _EXPORTED][::12], ids=lambda e: e["name"])
def test_other_algorithms_are_refused_with_the_reason(entry: Entry, tmp_path: Path) -> None:
    with pytest.raises((mojo.MojoUnsupportedError, mojo.MojoFormatError)):
        mojo.to_onnx(DATA / entry["mojo"], tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_graph_has_the_names_of_the_signature() -> None:
    model = load(FOLDER / "gbm_platt.zip")
    session = onnxruntime.InferenceSession(graph_of(model), providers=["CPUExecutionProvider"])
    kinds = {"FP64": "tensor(double)", "BYTES": "tensor(string)", "INT64": "tensor(int64)"}
    for specs, ports in (
        (model.signature.inputs, session.get_inputs()),
        (model.signature.outputs, session.get_outputs()),
    ):
        assert [(port.name, port.type) for port in ports] == [(spec.name, kinds[spec.datatype]) for spec in specs]


def test_encoded_categories_are_encoded_by_the_graph() -> None:
    for path in sorted(FOLDER.glob("gbm_*.zip")):
        found = check.compare(model := load(path), graph_of(model))
        assert (found.labels_agree, found.worst <= TOLERANCE) == (True, True), path.name


def test_old_versions_of_trees_are_exported() -> None:
    for path in sorted((FOLDER.parent / "forests").glob("*.zip")):
        found = check.compare(model := load(path), graph_of(model))
        assert (found.labels_agree, found.worst <= TOLERANCE) == (True, True), path.name


def test_rows_that_the_model_refuses_have_no_numbers_and_no_class() -> None:
    entry = next(one for one in _INDEX if one["name"] == "glm_binomial_Skip")
    model = load(DATA / entry["mojo"])
    columns = {name: values[:3] for name, values in check.drawn(model).items()}
    first = next(field.name for field in model.fields if field.kind == "value")
    columns[first] = np.array(["no level"] * 3, dtype=object)
    with pytest.raises(MojoRowError):
        model.predict(columns)
    answers = check.theirs(graph_of(model), columns)
    assert answers["predict"].tolist() == ["", "", ""]
    assert all(np.isnan(answers[name]).all() for name in model.outputs[1:])


def test_a_graph_of_another_model_is_found_to_differ() -> None:
    model, other = load(FOLDER / "gbm_offset.zip"), load(FOLDER / "glm_offset.zip")
    columns = check.drawn(model)
    answers = check.theirs(graph_of(model), columns)
    assert check.differences(model, check.ours(model, columns, check.ROWS), answers).worst <= TOLERANCE
    assert check.differences(model, check.ours(other, columns, check.ROWS), answers).worst > TOLERANCE


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(mojo.MojoUnsupportedError, match="nothing was written"):
        mojo.to_onnx(FOLDER / "gbm_offset.zip", tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_label_that_differs_is_found() -> None:
    model = load(FOLDER / "drf_enum.zip")
    columns = check.drawn(model)
    scores = check.ours(model, columns, check.ROWS)
    answers = check.theirs(graph_of(model), columns)
    assert check.differences(model, scores, answers).labels_agree
    scores[:, 0] = (scores[:, 0] + 1) % 3
    assert not check.differences(model, scores, answers).labels_agree


def test_the_command_writes_and_tells(tmp_path: Path) -> None:
    from tidegate.cli.main import app

    out = tmp_path / "model.onnx"
    result = CliRunner().invoke(app, ["mojo", "to-onnx", str(FOLDER / "drf_enum.zip"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "1,000 rows compared" in result.output
    made = onnx.load(out)
    assert {prop.key: prop.value for prop in made.metadata_props}["algorithm"] == "Distributed Random Forest"
    assert made.producer_name == "tidegate"
