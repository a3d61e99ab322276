"""What a rehearsal sends."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.support.quick_models import write_flights
from tidegate.artifact.build import BuildRequest, build_bundle
from tidegate.artifact.bundle import Bundle, read_bundle
from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import parse_request
from tidegate.rehearsal.inputs import Inputs, body_of, inputs_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    import asyncio

    folder = tmp_path_factory.mktemp("bundle")
    path = write_flights(folder / "model.onnx")
    return read_bundle(asyncio.run(build_bundle(BuildRequest(path), folder / "bundles")).folder)


def document(**fields: object) -> dict[str, object]:
    return {"name": "late", "modelArtifact": {"path": "/m"}, "servingRequirements": {}, **fields}


def sent(request: dict[str, object], revision: int, bundle: Bundle, given: Path | None = None) -> Inputs:
    parsed = parse_request(request)
    return inputs_of(parsed, parsed, revision, bundle, given)


def test_a_log_without_all_that_users_sent_is_not_sent_again(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "1-0.jsonl").write_text('{"inputs": {"name": ["5f"]}, "rows": 1}\n')
    sink = f"jsonl:{tmp_path}/{{revision}}-{{replica}}.jsonl"
    for personal in ({"drop": ["email"]}, {"hash": ["name"], "keyFile": "/key"}):
        request = document(predictionLog={"sink": sink, "personal": personal})
        assert "sample" in sent(request, 1, bundle).source


def test_a_line_of_a_prediction_log_becomes_the_rows_that_were_sent() -> None:
    line = {"request_id": "r", "rows": 2, "inputs": {"x": [1.5, None], "c": ["a", "b"]}, "outputs": {"y": [0, 1]}}
    assert orjson.loads(body_of(line) or b"") == {"records": [{"x": 1.5, "c": "a"}, {"x": None, "c": "b"}]}


def test_a_body_for_predict_stays_as_it_is_and_anything_else_is_none() -> None:
    assert orjson.loads(body_of({"records": [{"x": 1}]}) or b"") == {"records": [{"x": 1}]}
    assert orjson.loads(body_of([{"x": 1}]) or b"") == [{"x": 1}]
    for line in (None, 3, "text", {}, [], {"rows": 1, "inputs": {}}, {"rows": 1, "inputs": {"x": 1}}):
        assert body_of(line) is None


def test_without_a_log_the_sample_and_the_golden_requests_are_sent(bundle: Bundle, tmp_path: Path) -> None:
    sampled = sent(document(), 1, bundle)
    assert [orjson.loads(body)["records"] for body in sampled.bodies] == [[dict(row)] for row in bundle.sample]
    golden = tmp_path / "golden.json"
    golden.write_bytes(orjson.dumps({"requests": [{"predict": [dict(bundle.sample[0])]}]}))
    both = sent(document(gates={"golden": str(golden)}), 1, bundle)
    assert len(both.bodies) == len(sampled.bodies) + 1
    assert "golden" in both.source


def test_what_the_replicas_of_the_revision_logged_is_sent_before_anything_made_up(
    bundle: Bundle, tmp_path: Path
) -> None:
    request = document(predictionLog={"sink": f"jsonl:{tmp_path}/{{deployment}}.{{revision}}.{{replica}}.jsonl"})
    line = orjson.dumps({"rows": 1, "inputs": {"x": [7]}, "outputs": {}})
    (tmp_path / "late.2.0.jsonl").write_bytes(line + b"\n" + line[:9])
    (tmp_path / "late.2.1.jsonl").write_bytes(line + b"\n")
    assert [orjson.loads(body) for body in sent(request, 2, bundle).bodies] == [{"records": [{"x": 7}]}] * 2
    assert "prediction log" in sent(request, 2, bundle).source
    assert "sample" in sent(request, 3, bundle).source


def test_a_file_without_anything_to_send_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("null\nno json\n")
    for path in (empty, tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(InvalidInput, match="--inputs"):
            sent(document(), 1, bundle, path)
