"""Bundles are built in a process of their own, and whatever that process suffers is one clear error."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import malice
from tests.support.models import onnx_model, sklearn_classifier
from tidegate.artifact.build import BuildLimits, BuildRequest, BundleInfo, build_bundle, error_from_dict
from tidegate.artifact.bundle import load_model, read_bundle, verify_bundle
from tidegate.contract.errors import Conflict, InvalidInput, NotTrusted, TidegateError


def run(build: Coroutine[Any, Any, BundleInfo]) -> BundleInfo:
    return asyncio.run(build)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_a_trusted_pickle_becomes_a_bundle_that_answers(tmp_path: Path) -> None:
    model = sklearn_classifier(tmp_path / "model.joblib", form="joblib")
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(model.rows))
    info = run(build_bundle(BuildRequest(model.path, trust=True, sample_path=rows), tmp_path / "bundles"))
    assert info.folder == tmp_path / "bundles" / info.digest
    assert info.manifest.trusted
    assert info.manifest.runtime == "sklearn"
    assert info.manifest.memory_bytes > 1 << 20
    assert info.manifest.cpu_seconds is not None
    assert 0 < info.manifest.cpu_seconds < 0.1
    assert info.warnings == []
    bundle = read_bundle(info.folder)
    verify_bundle(bundle)
    assert list(bundle.sample) == list(model.rows)
    answers = load_model(bundle, 1).predict(model.columns)
    assert answers["prediction"].tolist() == model.expected["prediction"].tolist()


def test_two_equal_builds_at_once_are_one_bundle_and_a_third_changes_nothing(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "model.onnx")
    bundles = tmp_path / "bundles"

    async def both() -> list[BundleInfo]:
        request = BuildRequest(model.path, trust=True)
        return [
            *await asyncio.gather(*(build_bundle(request, bundles) for _ in range(2))),
            await build_bundle(BuildRequest(model.path, framework="onnx"), bundles),
        ]

    found = asyncio.run(both())
    assert len({info.digest for info in found}) == 1
    assert [path.name for path in bundles.iterdir()] == [found[0].digest]
    assert not found[0].manifest.trusted


def test_errors_of_the_worker_are_raised_with_their_class_and_their_fields(tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(malice.shell(marker)))
    with pytest.raises(NotTrusted) as caught:
        run(build_bundle(BuildRequest(path, trust=True), tmp_path / "bundles"))
    assert "posix.system" in caught.value.message
    assert caught.value.subject == str(path)
    assert caught.value.hint
    assert not marker.exists()
    assert not (tmp_path / "bundles").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(malice.crash(), r"crashed the process that loaded it \(signal 11\)"), (malice.prints(), "cannot predict")],
    ids=["crash", "print"],
)
def test_a_model_that_breaks_the_process_is_one_clear_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=reason):
        run(build_bundle(BuildRequest(path, trust=True), tmp_path / "bundles"))


def test_a_model_that_never_loads_is_ended_in_time(tmp_path: Path) -> None:
    path, before = tmp_path / "model.pkl", children()
    path.write_bytes(malice.never_ends())
    with pytest.raises(InvalidInput, match="could not be checked in 4 seconds"):
        run(build_bundle(BuildRequest(path, trust=True), tmp_path / "bundles", BuildLimits(seconds=4)))
    assert children() == before


def test_a_model_that_takes_more_memory_than_it_may_is_ended(tmp_path: Path) -> None:
    path, before = tmp_path / "model.pkl", children()
    path.write_bytes(malice.takes_memory())
    limits = BuildLimits(memory_bytes=600 << 20)
    with pytest.raises(InvalidInput, match="more memory than it may take"):
        run(build_bundle(BuildRequest(path, trust=True), tmp_path / "bundles", limits))
    assert children() == before


def test_a_build_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    path, before = tmp_path / "model.pkl", children()
    path.write_bytes(malice.never_ends())

    async def give_up() -> None:
        task = asyncio.create_task(build_bundle(BuildRequest(path, trust=True), tmp_path / "bundles"))
        async with asyncio.timeout(30):
            while children() == before:  # noqa: ASYNC110 (a process tells nobody that it started)
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert children() == before


def test_a_missing_file_and_an_unknown_framework_need_no_process(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file"):
        run(build_bundle(BuildRequest(tmp_path / "nowhere"), tmp_path / "bundles"))
    (tmp_path / "model").write_text("x")
    with pytest.raises(InvalidInput, match="no runtime named"):
        run(build_bundle(BuildRequest(tmp_path / "model", framework="prophet"), tmp_path / "bundles"))


def test_the_worker_prints_one_line_of_json_and_nothing_else(tmp_path: Path) -> None:
    model = onnx_model(tmp_path / "model.onnx")
    request = {
        "path": str(model.path),
        "bundles": str(tmp_path / "bundles"),
        "seconds": 60,
        "limits": {"bytes": 1 << 30, "files": 10},
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "tidegate.artifact", "--request", str(tmp_path / "request.json")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert finished.stdout.count("\n") == 1
    assert (tmp_path / "bundles" / json.loads(finished.stdout)["ok"]["digest"]).is_dir()


@pytest.mark.parametrize("kind", [InvalidInput, NotTrusted, Conflict])
def test_errors_survive_the_way_through_json(kind: type[TidegateError]) -> None:
    error = kind("What went wrong.", subject="model", expected="a", got="b", hint="do c")
    again = error_from_dict(json.loads(json.dumps(error.as_dict())))
    assert type(again) is kind
    assert again.as_dict() == error.as_dict()
    assert type(error_from_dict({"code": "of another version"})) is TidegateError
