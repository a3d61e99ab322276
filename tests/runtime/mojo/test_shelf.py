"""Arrays that workers share: the same scores, one copy in memory, and nothing of a file that was touched."""

from __future__ import annotations

import gc
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.mojo.matrix.kept import DATA
from tidegate.runtime.base import ArtifactFiles, Derives, LoadOptions
from tidegate.runtime.mojo import kernel_library, runtime, shelf
from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.deep_learning_kernel import score_classes
from tidegate.runtime.mojo.registry import read_model
from tidegate.runtime.mojo.runtime import MojoRuntime
from tidegate.runtime.mojo.scorer import Scorer
from tidegate.runtime.mojo.xgboost_kernel import score_packed_trees

FOREST = DATA / "models" / "gbm_more_than_hundred_trees.zip"
ENSEMBLE = DATA / "models" / "stacked_four_AUTO.zip"
BOOSTER = DATA / "models" / "xgboost_gbtree_multinomial.zip"
NETWORK = DATA / "models" / "deep_learning_rectifier_two_layers.zip"
KINDS = {"forest": FOREST, "ensemble": ENSEMBLE, "booster": BOOSTER, "network": NETWORK}


@pytest.fixture(autouse=True)
def all_arrays_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "LEAST_BYTES", 1)
    monkeypatch.setattr(runtime, "_LEAST_DERIVED_BYTES", 1)


def derived(artifact: Path, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    made = MojoRuntime().derive(ArtifactFiles(artifact), LoadOptions(), folder)
    assert made.packages == MojoRuntime.packages
    return folder


def scores(scorer: Scorer) -> Any:
    rows = np.random.default_rng(5).integers(-1, 4, (50, scorer.header.n_features)).astype(np.float64)
    rows[rows < 0] = np.nan
    return scorer.score(rows).tolist()


def read_from(artifact: Path, folder: Path) -> Scorer:
    with shelf.shelf_in(folder):
        return read_model(open_container(artifact))


def is_mapped(folder: Path, process: str = "self") -> bool:
    return str(folder) in Path(f"/proc/{process}/maps").read_text()


@pytest.mark.parametrize("artifact", KINDS.values(), ids=KINDS)
def test_mapped_arrays_score_as_those_of_the_artifact(artifact: Path, tmp_path: Path) -> None:
    folder = derived(artifact, tmp_path / "derived")
    mapped = read_from(artifact, folder)
    assert is_mapped(folder)
    np.testing.assert_array_equal(scores(mapped), scores(read_model(open_container(artifact))))


@pytest.mark.parametrize("artifact", [BOOSTER, NETWORK], ids=["booster", "network"])
def test_mapped_arrays_stay_while_their_model_does(artifact: Path, tmp_path: Path) -> None:
    folder = derived(artifact, tmp_path / "derived")
    mapped = read_from(artifact, folder)
    wanted = scores(mapped)
    for path in folder.iterdir():
        path.unlink()
    gc.collect()
    assert scores(mapped) == wanted
    del mapped
    gc.collect()
    assert not is_mapped(folder)


@pytest.mark.skipif(kernel_library.used() is not None, reason="with a library nothing is compiled")
def test_mapped_arrays_run_the_machine_code_of_others(tmp_path: Path) -> None:
    for artifact, kernel in ((BOOSTER, score_packed_trees), (NETWORK, score_classes)):
        scores(read_model(open_container(artifact)))
        compiled = len(kernel.signatures)  # type: ignore[attr-defined]
        scores(read_from(artifact, derived(artifact, tmp_path / artifact.stem)))
        assert len(kernel.signatures) == compiled  # type: ignore[attr-defined]


def test_equal_artifacts_give_equal_files(tmp_path: Path) -> None:
    one, other = (derived(ENSEMBLE, tmp_path / name) for name in "ab")
    names = sorted(path.name for path in one.iterdir())
    assert len(names) > 8
    assert names == sorted(path.name for path in other.iterdir())
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def test_the_runtime_maps_what_it_derived(tmp_path: Path) -> None:
    assert isinstance(MojoRuntime(), Derives)
    folder = derived(FOREST, tmp_path / "derived")
    model = MojoRuntime().load(ArtifactFiles(FOREST), LoadOptions(derived=folder))
    assert is_mapped(folder)
    plain = MojoRuntime().load(ArtifactFiles(FOREST), LoadOptions())
    columns = {
        spec.name: np.array([0.5, np.nan]) if spec.datatype == "FP64" else np.array([None, None], dtype=object)
        for spec in plain.signature.inputs
    }
    for name, values in model.predict(columns).items():
        np.testing.assert_array_equal(values, plain.predict(columns)[name])


def test_small_models_have_nothing_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "LEAST_BYTES", 1 << 20)
    assert MojoRuntime().derive(ArtifactFiles(FOREST), LoadOptions(), tmp_path).packages == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 60, 200, -1])
@pytest.mark.parametrize(("kind", "name"), [("forest", "nodes"), ("booster", "leaves"), ("network", "weights")])
def test_a_file_that_was_touched_is_not_used(kind: str, name: str, place: int, tmp_path: Path) -> None:
    artifact = KINDS[kind]
    folder = derived(artifact, tmp_path / "derived")
    path = next(folder.glob(f"*.{name}.bin"))
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(bytes(data))
    assert scores(read_from(artifact, folder)) == scores(read_model(open_container(artifact)))
    assert not is_mapped(folder)


@pytest.mark.parametrize("shape", [[3], [-1], [4, -1], [1, 1, 1], "many", None])
def test_arrays_of_another_shape_than_was_written_are_not_used(shape: object, tmp_path: Path) -> None:
    folder = derived(BOOSTER, tmp_path / "derived")
    index = json.loads((folder / "arrays.json").read_text())
    for kept in index.values():
        kept["arrays"]["trees"]["shape"] = shape
    (folder / "arrays.json").write_text(json.dumps(index))
    assert scores(read_from(BOOSTER, folder)) == scores(read_model(open_container(BOOSTER)))
    assert not is_mapped(folder)


@pytest.mark.parametrize("size", [0, 10, 127, 1000])
def test_a_file_that_was_cut_is_not_used(size: int, tmp_path: Path) -> None:
    folder = derived(FOREST, tmp_path / "derived")
    path = next(folder.glob("*.nodes.bin"))
    path.write_bytes(path.read_bytes()[:size])
    assert scores(read_from(FOREST, folder)) == scores(read_model(open_container(FOREST)))


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{}", '{"stamp": 1}', "[" * 100_000])
def test_an_index_that_cannot_be_read_is_not_used(text: str, tmp_path: Path) -> None:
    folder = derived(FOREST, tmp_path / "derived")
    (folder / "arrays.json").write_text(text)
    assert scores(read_from(FOREST, folder)) == scores(read_model(open_container(FOREST)))


@pytest.mark.parametrize("artifact", [FOREST, BOOSTER, NETWORK], ids=["forest", "booster", "network"])
def test_arrays_of_another_version_or_another_model_are_not_used(artifact: Path, tmp_path: Path) -> None:
    folder = derived(artifact, tmp_path / "derived")
    assert scores(read_from(ENSEMBLE, folder)) == scores(read_model(open_container(ENSEMBLE)))
    assert not is_mapped(folder)
    index = json.loads((folder / "arrays.json").read_text())
    changed = {key: {**kept, "stamp": "another"} for key, kept in index.items()}
    (folder / "arrays.json").write_text(json.dumps(changed))
    read_from(artifact, folder)
    assert not is_mapped(folder)


def test_two_models_of_one_artifact_that_differ_in_nothing_but_bytes_have_each_their_own(tmp_path: Path) -> None:
    one, other = "models/GBM/m_stacked_base_gbm_four/", "models/DRF/m_stacked_base_drf_four/"
    with zipfile.ZipFile(ENSEMBLE) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if not name.startswith(other)}
    for name in [name for name in entries if name.startswith(one)]:
        data = entries[name]
        if name.endswith(".bin") and not name.endswith("_aux.bin"):
            # The last leaf.
            data = data[:-4] + struct.pack("<f", -struct.unpack("<f", data[-4:])[0])
        entries[other + name.removeprefix(one)] = data
    artifact = tmp_path / "twins.zip"
    with zipfile.ZipFile(artifact, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    folder = derived(artifact, tmp_path / "derived")
    wanted = scores(read_model(open_container(artifact)))
    with zipfile.ZipFile(artifact) as archive:
        archive.extractall(tmp_path / "unpacked")
    for place in (artifact, tmp_path / "unpacked"):
        mapped = read_from(place, folder)
        assert is_mapped(folder)
        np.testing.assert_array_equal(scores(mapped), wanted)
        del mapped


_WORKER = """
import sys
from pathlib import Path
from tidegate.runtime.mojo import shelf
from tidegate.runtime.mojo.container import open_container
from tidegate.runtime.mojo.deep_learning_kernel import score_classes
from tidegate.runtime.mojo.registry import read_model
with shelf.shelf_in(Path(sys.argv[2])):
    scorer = read_model(open_container(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("kind", "name"), [("forest", "nodes"), ("booster", "leaves"), ("network", "weights")])
def test_two_processes_have_one_copy_between_them(kind: str, name: str, tmp_path: Path) -> None:
    folder = derived(KINDS[kind], tmp_path / "derived")
    command = [sys.executable, "-c", _WORKER, str(KINDS[kind]), str(folder)]
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            found = kilobytes(worker.pid, f"{name}.bin")
            assert found["Rss"] >= max(found["Size"] - 4, 4)
            assert found["Private_Clean"] == found["Private_Dirty"] == 0
            assert found["Pss"] <= found["Rss"] / 2 + 1
    finally:
        for worker in workers:
            worker.communicate()


def kilobytes(process: int, name: str) -> dict[str, int]:
    """Return what the kernel says of the mapping of a file, in kB (`man 5 proc`, smaps)."""
    lines = Path(f"/proc/{process}/smaps").read_text().splitlines()
    begin = next(place for place, line in enumerate(lines) if line.endswith(name))
    fields = (line.split() for line in lines[begin + 1 : begin + 25] if line.endswith(" kB"))
    found: dict[str, int] = {}
    for field in fields:
        found.setdefault(field[0].rstrip(":"), int(field[1]))
    return found
