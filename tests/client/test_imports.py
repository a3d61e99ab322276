"""Models in a folder are found in the order of their versions, with what lies beside them, and nothing is guessed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate.client.imports import FoundVersion
from tidegate.client.imports.bringing import finite
from tidegate.client.imports.folder import found_in, in_order
from tidegate.client.imports.mlflow import found_in as found_in_mlflow
from tidegate.client.imports.mlflow import shown
from tidegate.contract.errors import InvalidInput, NotFound, Unavailable


def write(path: Path, content: Any = "model") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def found(folder: Path, *models: str) -> list[FoundVersion]:
    return list(found_in(folder, models))


def test_versions_come_as_people_count_and_models_by_name(tmp_path: Path) -> None:
    for name in ("10", "9", "v2", "v10"):
        write(tmp_path / "churn" / name / "model.skops")
    write(tmp_path / "a" / "1.ubj")
    assert [(one.model, one.number) for one in found(tmp_path)] == [
        *(("a", "1"), ("churn", "9"), ("churn", "10"), ("churn", "v2"), ("churn", "v10")),
    ]
    assert [one.model for one in found(tmp_path, "a")] == ["a"]
    with pytest.raises(NotFound, match="no model 'b'"):
        found(tmp_path, "b")


def test_a_version_is_a_file_a_folder_with_one_or_a_folder_that_is_a_model(tmp_path: Path) -> None:
    single = write(tmp_path / "m" / "1" / "model.skops")
    write(tmp_path / "m" / "1" / ".hidden")
    own = write(tmp_path / "m" / "2" / "model.py").parent
    two = write(tmp_path / "m" / "3" / "a.bin").parent
    write(two / "b.bin")
    file = write(tmp_path / "m" / "4.json")
    assert [one.artifact for one in found(tmp_path)] == [single, own, two, file]


def test_what_lies_beside_a_version_is_told_of_it(tmp_path: Path) -> None:
    write(tmp_path / "m" / "1.ubj")
    told = {"metrics": {"auc": 0.9}, "lineage": {"code": "c"}, "aliases": ["champion"], "stage": "staging"}
    write(tmp_path / "m" / "1.version.json", {**told, "description": "first"})
    (one,) = found(tmp_path)
    assert (one.metrics, one.lineage, one.aliases) == ({"auc": 0.9}, {"code": "c"}, ("champion",))
    assert (one.stage, one.description, one.source) == ("staging", "first", str(tmp_path / "m" / "1.ubj"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "cannot be read"),
        ({"metric": {}}, "unknown field 'metric'"),
        ({"metrics": []}, "metrics is of another kind"),
        ({"aliases": [1]}, "aliases is of another kind"),
    ],
)
def test_what_cannot_be_understood_refuses_that_version_alone(tmp_path: Path, content: Any, told: str) -> None:
    write(tmp_path / "m" / "1.ubj")
    write(tmp_path / "m" / "2.ubj")
    write(tmp_path / "m" / "1.version.json", content)
    first, second = found(tmp_path)
    assert isinstance(first.refusal, InvalidInput)
    assert told in first.refusal.message
    assert second.refusal is None


def test_a_folder_without_models_is_bad_input(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing", write(tmp_path / "file")):
        with pytest.raises(InvalidInput):
            found(folder)


def test_numbers_in_names_are_numbers() -> None:
    assert sorted(["v10", "v9", "a", "1"], key=in_order) == ["1", "a", "v9", "v10"]
    assert sorted(["²", "1", "x²"], key=in_order)


def test_metrics_that_are_no_numbers_are_left_out_and_named() -> None:
    good, rest = finite({"auc": 0.9, "n": 3, "loss": float("nan"), "best": float("inf"), "ok": True})
    assert good == {"auc": 0.9, "n": 3.0}
    assert list(rest) == ["loss", "best", "ok"]


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql://ada:secret@db/mlflow", "postgresql://db/mlflow"),
        ("http://token@127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_a_password_in_a_uri_is_never_shown(uri: str, told: str) -> None:
    assert shown(uri) == told


def test_without_mlflow_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(Unavailable, match="not installed") as refused:
        list(found_in_mlflow("http://127.0.0.1:1"))
    assert refused.value.hint == "pip install 'tidegate[mlflow]'"
