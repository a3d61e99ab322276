"""A MOJO in the server: its levels as texts, answers in company that are those alone, and what is refused."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.runtime.mojo.matrix.kept import DATA
from tests.server import bundles
from tests.server.conftest import InProcess, Serve
from tests.server.processes import replica, wait_until
from tests.server.supervisors import PATIENT, Traffic, supervised
from tests.support.models import TrainedModel
from tests.support.mojos import FOLDER, columns_of_rows
from tidegate import mojo
from tidegate.artifact.build import BuildLimits, BuildRequest, build_bundle
from tidegate.artifact.bundle import Bundle
from tidegate.contract.faults import parse_fault
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.mojo.kernel_library import VARIABLE
from tidegate.runtime.mojo.runtime import MojoRuntime
from tidegate.runtime.mojo.values import ABSENT
from tidegate.runtime.rows import inputs_from_rows
from tidegate.server.faults import FaultyModel
from tidegate.server.recording.unseen import UNSEEN_TOTAL
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


def unseen(client: InProcess) -> dict[str, float]:
    """Return the counter of texts that were no level, by column."""
    return {
        sample.labels["column"]: sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == UNSEEN_TOTAL
    }


def test_texts_that_are_no_level_are_counted_by_column(
    serve: Serve, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    # The sample has one, which is no request.
    _, client = served(serve, GBM, tmp_path, [{**rows[0], "town": "nowhere"}])
    assert unseen(client) == {"kind": 0, "town": 0, "code": 0, "flag": 0}
    known = {"size": 0.4, "count": 3.0, "kind": "a", "town": "t01", "code": "10", "flag": "True"}
    asked = [known, {**known, "kind": "?"}, {**known, "kind": "!", "town": None, "code": "11"}]
    assert client.post("/predict", json={"records": asked}).status_code == 200
    assert client.post("/predict", json={"records": asked[1:2]}).status_code == 200
    assert unseen(client) == {"kind": 3, "town": 0, "code": 1, "flag": 0}


def test_a_faulty_copy_counts_what_the_model_in_it_counts() -> None:
    model = MojoRuntime().load(ArtifactFiles(GBM), LoadOptions())
    faulty = FaultyModel(model, parse_fault("errors"))
    faulty.predict(inputs_from_rows(model.signature.inputs, [{"kind": "?"}]))
    assert faulty.unseen_levels == {"kind": 1}


def test_a_model_that_counts_none_has_no_such_metric(flights: InProcess) -> None:
    assert unseen(flights) == {}


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


def test_a_swap_to_a_model_that_must_be_compiled_holds_no_request_up(
    quick_bundle: Bundle, rows: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TrainedModel(FOLDER / "kmeans.zip", "mojo", {}, {}, rows)
    mojo_bundle = bundles.write_bundle_of(model, tmp_path / "bundles")
    for version, bundle in (("1", quick_bundle), ("2", mojo_bundle)):
        shutil.copytree(bundle.folder, tmp_path / "models" / "flights" / version)
    cache = tmp_path / "cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    options = ("--repository", str(tmp_path / "models"), "--model-version", "1")
    asked = [{**quick_bundle.sample[0], **rows[0]}]  # each of the two takes its own inputs of it
    with supervised(tmp_path / "run", *options, *PATIENT) as running:
        with Traffic(running.client.base_url, asked, connections=3) as traffic:
            wait_until(lambda: traffic.answered > 10, "requests are answered")
            assert not list(cache.rglob("*.nbc"))
            running.client.timeout = httpx.Timeout(600.0)  # to compile takes its time where many tests run
            before, began = traffic.answered, time.monotonic()
            traffic.slowest_seconds = 0.0
            assert running.load(version="2").status_code == 200
            during, after, taken = traffic.answered - before, traffic.answered, time.monotonic() - began
            assert running.version() == "2"
            wait_until(lambda: traffic.answered > after + 10, "requests are answered by the new model")
        assert list(cache.rglob("*.nbc"))
        assert during > 20
        assert traffic.failures == {}
        # Behind the compiler it would be nearly all of the time; two seconds are a busy machine's.
        assert traffic.slowest_seconds < max(taken / 10, min(taken / 2, 2.0)), taken


def machine_code(folder: Path) -> dict[str, int]:
    """Return the files of machine code and of what is known of it, with when they were written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.nb[ci]")}


@pytest.mark.parametrize("path", [GBM, FOLDER / "glm_three.zip"], ids=lambda path: path.stem)
def test_a_replica_compiles_nothing_after_its_bundle_was_made(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    monkeypatch.delenv(VARIABLE, raising=False)
    # To compile takes its time where many tests run.
    bundle = asyncio.run(build_bundle(BuildRequest(path), tmp_path / "bundles", BuildLimits(seconds=600.0)))
    compiled = machine_code(cache)
    assert sum(name.endswith(".nbc") for name in compiled) > 5
    rows = [{field.name: "?" if field.levels else 0.5 for field in mojo.load(path).fields}] * 300
    with replica(bundle.folder, tmp_path / "run") as running:
        example = running.client.get("/openapi.json").json()["paths"]["/v2/models/flights/infer"]["post"]
        tensors = example["requestBody"]["content"]["application/json"]["example"]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        for place, document in (
            ("/predict", rows[0]),
            ("/predict", {"records": rows}),
            ("/predict", {"columns": columns}),
            ("/v2/models/flights/infer", tensors),
        ):
            answer = running.client.post(place, json=document)
            assert answer.status_code == 200, answer.text
        assert running.stop() == 0
    assert machine_code(cache) == compiled


def test_a_model_that_numbers_its_rows_is_asked_request_by_request(serve: Serve, tmp_path: Path) -> None:
    asked = [{"n1": 0.5, "n3": 2.0, "nna": 1.0, "c3": "red", "cna": "east"}] * 40
    replica, client = served(serve, GLRM, tmp_path, asked)
    assert replica.metrics.batch_limit == 1
    expected = mojo.load(GLRM).predict(asked[0])
    assert [answer.json()["predictions"] for answer in at_once(client, asked)] == [[expected]] * 40
