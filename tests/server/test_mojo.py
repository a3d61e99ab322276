"""A MOJO in the server: its levels as texts, answers in company that are those alone, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.runtime.mojo.matrix.kept import DATA
from tests.server import bundles
from tests.server.conftest import InProcess, Serve
from tests.support.models import TrainedModel
from tests.support.mojos import FOLDER, columns_of_rows
from tidegate import mojo
from tidegate.runtime.mojo.values import ABSENT
from tidegate.server.replica import Replica

GBM = FOLDER / "gbm_enum.zip"
GLRM = DATA / "models" / "glrm_mixed.zip"
CALLERS = 16


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return rows as clients send them: numbers, texts and null."""
    columns, inputs = columns_of_rows(), mojo.load(path).signature.inputs
    count = len(next(iter(columns.values())))
    plain = {
        spec.name: [None if cell is ABSENT else float(cell) if spec.datatype == "FP64" else cell for cell in cells]
        for spec in inputs
        for cells in [columns[spec.name]]
    }
    return [{name: cells[place] for name, cells in plain.items()} for place in range(count)]


def served(serve: Serve, path: Path, folder: Path, rows: list[dict[str, Any]], **settings: Any) -> Any:
    trained = TrainedModel(path, "mojo", {}, {}, rows)
    bundle = bundles.write_bundle_of(trained, folder, **settings)
    # No request is shed, however busy the machine is.
    return serve(bundle, queue_limit=1000, latency_objective_seconds=30.0)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return rows_of(GBM)


@pytest.fixture(scope="module")
def lenient(serve: Serve, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return served(serve, GBM, tmp_path_factory.mktemp("lenient"), rows)


@pytest.fixture(scope="module")
def strict(serve: Serve, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return served(serve, GBM, tmp_path_factory.mktemp("strict"), rows, strict=True)


def at_once(client: InProcess, asked: list[dict[str, Any]]) -> list[httpx.Response]:
    """Send each row as a request of its own, many at a time."""
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda row: client.post("/predict", json={"records": [row]}), asked))


def test_answers_in_company_are_those_alone(lenient: tuple[Replica, InProcess], rows: list[dict[str, Any]]) -> None:
    replica, client = lenient
    assert replica.metrics.batch_limit > 1
    asked = rows * 5
    answers = at_once(client, asked)
    expected = mojo.load(GBM).predict(rows) * 5
    assert [answer.status_code for answer in answers] == [200] * len(asked)
    assert [answer.json()["predictions"][0] for answer in answers] == expected


def test_a_refused_level_harms_no_other_request(strict: tuple[Replica, InProcess], rows: list[dict[str, Any]]) -> None:
    _, client = strict
    known = {"size": 0.4, "count": 3.0, "kind": "a", "town": "t01", "code": "10", "flag": "True"}
    asked = [known if place % 3 else {**known, "kind": "nowhere"} for place in range(60)]
    answers = at_once(client, asked)
    assert [answer.status_code for answer in answers] == [200 if place % 3 else 400 for place in range(60)]
    expected = mojo.load(GBM).predict(known)
    for place, answer in enumerate(answers):
        if place % 3:
            assert answer.json()["predictions"] == [expected]
        else:
            assert "the training had no level 'nowhere'" in answer.json()["error"]


def test_the_metadata_name_the_levels(lenient: tuple[Replica, InProcess]) -> None:
    _, client = lenient
    told = client.get("/v2/models/flights").json()
    categories = {spec["name"]: spec.get("parameters", {}).get("categories") for spec in told["inputs"]}
    assert categories["kind"] == ["a", "b", "c"]
    assert categories["size"] is None
    assert told["outputs"][0]["parameters"]["categories"] == ["no", "yes"]


def test_texts_and_missing_values_come_as_bytes_tensors(
    lenient: tuple[Replica, InProcess], rows: list[dict[str, Any]]
) -> None:
    _, client = lenient
    inputs = [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": [len(rows)],
            "data": [row[spec.name] for row in rows],
        }
        for spec in mojo.load(GBM).signature.inputs
    ]
    answer = client.post("/v2/models/flights/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    got = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    expected = mojo.load(GBM).predict(rows)
    assert got == {name: [row[name] for row in expected] for name in expected[0]}


def test_a_model_that_numbers_its_rows_is_asked_request_by_request(serve: Serve, tmp_path: Path) -> None:
    asked = [{"n1": 0.5, "n3": 2.0, "nna": 1.0, "c3": "red", "cna": "east"}] * 40
    replica, client = served(serve, GLRM, tmp_path, asked)
    assert replica.metrics.batch_limit == 1
    expected = mojo.load(GLRM).predict(asked[0])
    assert [answer.json()["predictions"] for answer in at_once(client, asked)] == [[expected]] * 40
