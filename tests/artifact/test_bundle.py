"""A bundle is complete or absent, never changes, and always has the same name."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.models import TrainedModel, xgboost_model
from tidegate.artifact.bundle import (
    BundleContent,
    Environment,
    delete_bundle,
    digest_of,
    load_model,
    read_bundle,
    verify_bundle,
    version_of,
    write_bundle,
)
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, Unavailable
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.registry import get_runtime
from tidegate.runtime.signatures import signature_to_dict


@pytest.fixture(scope="module")
def booster(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return xgboost_model(tmp_path_factory.mktemp("bundle") / "model.json")


@pytest.fixture(scope="module")
def content(booster: TrainedModel) -> BundleContent:
    model = get_runtime("xgboost").load(ArtifactFiles(booster.path), LoadOptions())
    return BundleContent(
        artifact=booster.path,
        runtime="xgboost",
        format="xgboost-json",
        framework_version="3.2.0",
        trusted=False,
        signature=signature_to_dict(model.signature),
        environment=Environment(python="3.11.7", packages={"xgboost-cpu": "3.2.0"}),
        memory_bytes=100,
        settings={},
        sample=booster.rows,
    )


def test_a_bundle_has_the_artifact_byte_for_byte(content: BundleContent, booster: TrainedModel, tmp_path: Path) -> None:
    bundle = write_bundle(content, tmp_path)
    assert bundle.folder.name == bundle.manifest.digest
    assert len(bundle.manifest.digest) == 64
    assert bundle.artifact_path.read_bytes() == booster.path.read_bytes()
    assert bundle.manifest.created_from.filename == "model.json"
    assert bundle.manifest.created_from.size_bytes == booster.path.stat().st_size
    assert list(bundle.sample) == list(booster.rows)
    assert [path.name for path in tmp_path.iterdir()] == [bundle.manifest.digest]
    verify_bundle(bundle)


def test_a_model_loads_from_its_bundle_and_answers(
    content: BundleContent, booster: TrainedModel, tmp_path: Path
) -> None:
    bundle = read_bundle(write_bundle(content, tmp_path).folder)
    model = load_model(bundle, 1)
    assert model.signature == bundle.signature
    for name, expected in booster.expected.items():
        np.testing.assert_array_equal(model.predict(booster.columns)[name], expected)


def test_files_are_read_only(content: BundleContent, tmp_path: Path) -> None:
    bundle = write_bundle(content, tmp_path)
    for path in bundle.folder.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_the_same_again_is_the_same_bundle(content: BundleContent, tmp_path: Path) -> None:
    first = write_bundle(content, tmp_path)
    before = (first.folder / "bundle.json").stat().st_mtime_ns
    again = write_bundle(replace(content, memory_bytes=777, cpu_seconds=0.5), tmp_path)
    assert again.manifest == first.manifest
    assert (again.folder / "bundle.json").stat().st_mtime_ns == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_bundle_keeps_the_processor_time_of_a_row_and_one_without_it_is_read(
    content: BundleContent, tmp_path: Path
) -> None:
    assert write_bundle(content, tmp_path / "unknown").manifest.cpu_seconds is None
    folder = write_bundle(replace(content, cpu_seconds=0.002), tmp_path).folder
    assert read_bundle(folder).manifest.cpu_seconds == 0.002
    manifest = folder / "bundle.json"
    document = json.loads(manifest.read_bytes())
    del document["cpu_seconds"]
    manifest.chmod(0o644)
    manifest.write_text(json.dumps(document))
    assert read_bundle(folder).manifest.cpu_seconds is None


def test_the_name_and_place_of_the_file_do_not_matter(content: BundleContent, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "another-name.json"
    elsewhere.parent.mkdir()
    shutil.copy(content.artifact, elsewhere)
    first = write_bundle(content, tmp_path / "bundles")
    assert write_bundle(replace(content, artifact=elsewhere), tmp_path / "bundles").folder == first.folder


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"labels": ["a", "b"]}},
        {"trusted": True},
        {"sample": [{"distance": 1.0}]},
        {"environment": Environment(python="3.11.7", packages={"xgboost-cpu": "3.2.1"})},
        {"framework_version": None},
    ],
)
def test_whatever_determines_how_it_is_served_changes_the_name(
    content: BundleContent, tmp_path: Path, change: dict[str, Any]
) -> None:
    first = write_bundle(content, tmp_path)
    assert write_bundle(replace(content, **change), tmp_path).manifest.digest != first.manifest.digest


def test_writing_the_same_bundle_at_once_gives_one_bundle(content: BundleContent, tmp_path: Path) -> None:
    barrier, folders = threading.Barrier(4), []

    def write() -> None:
        barrier.wait(10)
        folders.append(write_bundle(content, tmp_path).folder)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert list(tmp_path.iterdir()) == [folders[0]]
    verify_bundle(read_bundle(folders[0]))


def test_a_folder_artifact_keeps_its_tree(content: BundleContent, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "graph.onnx").write_bytes(b"graph")
    (folder / "inner" / "weights").write_bytes(b"weights")
    bundle = write_bundle(replace(content, artifact=folder), tmp_path / "bundles")
    assert bundle.artifact_path.is_dir()
    assert (bundle.artifact_path / "inner" / "weights").read_bytes() == b"weights"
    verify_bundle(bundle)
    (folder / "inner" / "weights").rename(folder / "weights")
    assert write_bundle(replace(content, artifact=folder), tmp_path / "bundles").folder != bundle.folder


@pytest.mark.parametrize("part", ["artifact/model.json", "sample.json", "bundle.json"])
def test_a_change_after_it_was_written_is_seen(content: BundleContent, tmp_path: Path, part: str) -> None:
    bundle = write_bundle(content, tmp_path)
    path = bundle.folder / part
    path.chmod(0o644)
    if part == "artifact/model.json":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.write_text(path.read_text().replace("distance", "distancf"))
    with pytest.raises(InvalidInput, match="changed after it was written"):
        verify_bundle(read_bundle(bundle.folder))


@pytest.fixture
def derived(content: BundleContent, tmp_path: Path) -> BundleContent:
    """The content with two derived files."""
    folder = tmp_path / "made"
    (folder / "weights").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"a graph")
    (folder / "weights" / "0").write_bytes(b"its weights")
    return replace(content, derived=folder)


def test_derived_files_go_beside_the_artifact_and_are_handed_to_the_runtime(
    derived: BundleContent, booster: TrainedModel, tmp_path: Path
) -> None:
    bundle = read_bundle(write_bundle(derived, tmp_path / "bundles").folder)
    assert bundle.derived == bundle.folder / "derived"
    assert (bundle.derived / "model.onnx").read_bytes() == b"a graph"
    assert (bundle.derived / "weights" / "0").read_bytes() == b"its weights"
    assert stat.S_IMODE((bundle.derived / "model.onnx").stat().st_mode) == 0o444
    assert bundle.artifact_path.read_bytes() == booster.path.read_bytes()
    verify_bundle(bundle)


def test_derived_files_belong_to_the_digest_and_none_leave_it_as_it_was(
    content: BundleContent, derived: BundleContent, tmp_path: Path
) -> None:
    plain, made = (write_bundle(found, tmp_path / "bundles") for found in (content, derived))
    assert derived.derived is not None
    (derived.derived / "model.onnx").write_bytes(b"another graph")
    other = write_bundle(derived, tmp_path / "bundles")
    assert len({plain.manifest.digest, made.manifest.digest, other.manifest.digest}) == 3
    assert plain.derived is None
    files = [(plain.artifact_path.name, hashlib.sha256(plain.artifact_path.read_bytes()).hexdigest())]
    assert digest_of(plain.manifest, files, plain.sample) == plain.manifest.digest


@pytest.mark.parametrize("change", ["changed", "removed", "added", "all removed"])
def test_a_change_of_derived_files_is_seen(derived: BundleContent, tmp_path: Path, change: str) -> None:
    bundle = write_bundle(derived, tmp_path / "bundles")
    assert bundle.derived is not None
    graph = bundle.derived / "model.onnx"
    if change == "changed":
        graph.chmod(0o644)
        graph.write_bytes(b"b graph")
    elif change == "removed":
        graph.unlink()
    elif change == "added":
        (bundle.derived / "more").write_bytes(b"")
    else:
        shutil.rmtree(bundle.derived)
    with pytest.raises(InvalidInput, match="was changed after it was written"):
        verify_bundle(read_bundle(bundle.folder))


def test_what_is_no_bundle_is_said(content: BundleContent, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_bundle(tmp_path / "nothing")
    bundle = write_bundle(content, tmp_path)
    manifest = bundle.folder / "bundle.json"
    manifest.chmod(0o644)
    original = json.loads(manifest.read_text())
    for text, reason in (
        ("{", "damaged"),
        (json.dumps({**original, "runtime": 7}), "runtime"),
        (json.dumps({**original, "schema_version": 99}), "another version"),
        (json.dumps({**original, "artifact": "../../etc/passwd"}), "no artifact"),
    ):
        manifest.write_text(text)
        with pytest.raises(InvalidInput, match=reason):
            read_bundle(bundle.folder)


def test_a_file_that_changed_since_it_was_checked_is_not_bundled(content: BundleContent, tmp_path: Path) -> None:
    path, bundles = tmp_path / "model.json", tmp_path / "bundles"
    shutil.copy(content.artifact, path)
    checked = replace(content, artifact=path, version=version_of(path))
    assert write_bundle(checked, bundles).folder.exists()
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Conflict, match="changed while it was being checked"):
        write_bundle(checked, bundles)
    assert len(list(bundles.iterdir())) == 1


def test_a_folder_that_nobody_may_write_to_is_said(content: BundleContent, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(Unavailable, match="cannot be written"):
        write_bundle(content, blocked / "bundles")


def test_what_a_killed_writer_left_behind_is_removed_after_a_day(content: BundleContent, tmp_path: Path) -> None:
    old, recent = tmp_path / ".new-old", tmp_path / ".new-recent"
    for folder in (old, recent):
        folder.mkdir()
        (folder / "part").write_text("x")
    os.utime(old, (0, 0))
    write_bundle(content, tmp_path)
    assert not old.exists()
    assert recent.exists()


def test_a_bundle_can_be_deleted_twice(content: BundleContent, tmp_path: Path) -> None:
    bundle = write_bundle(content, tmp_path)
    delete_bundle(bundle.folder)
    delete_bundle(bundle.folder)
    assert not bundle.folder.exists()
