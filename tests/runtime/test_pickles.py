"""Pickles are read without being run, and what they would import is found wherever it hides."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import FunctionTransformer

from tests.support.malice import Call, hidden_in_a_model, shell
from tests.support.models import TrainedModel
from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions
from tidegate.runtime.pickle_machine import Findings, UnreadablePickleError, follow
from tidegate.runtime.pickle_scan import MAX_REASONS, find_dangerous, recognise_pickle, scan
from tidegate.runtime.registry import get_runtime


def forest() -> object:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    return RandomForestClassifier(3, random_state=0).fit(rng.random((60, 4)), rng.integers(0, 3, 60))


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read_to_its_end(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(forest(), protocol))
    found = scan(path)
    assert found is not None
    assert found.unreadable is None
    assert found.framework == "sklearn"
    assert "sklearn.tree._tree.Tree" in found.imports
    assert found.versions["_sklearn_version"].startswith("1.")


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("compress", [0, ("zlib", 1), ("gzip", 1), ("bz2", 1), ("lzma", 1), ("xz", 1)])
def test_joblib_is_read_past_its_raw_arrays(tmp_path: Path, protocol: int, compress: object) -> None:
    texts = np.array(["a", None, "b"], dtype=object)
    records = np.zeros(5, dtype=[("left", "<i8"), ("right", "<f4", (2,))])
    empty = np.zeros((0, 3), dtype=np.float32)
    path = tmp_path / "model"
    # The last object stands behind all arrays: it is found only when each of them was stepped over exactly.
    joblib.dump([forest(), texts, records, empty, np.float64(1), Path], path, compress=compress, protocol=protocol)
    found = scan(path)
    assert found is not None
    assert found.unreadable is None
    assert found.joblib
    assert any(name.startswith("pathlib.") and name.endswith("Path") for name in found.imports)


@pytest.mark.parametrize("protocol", range(6))
def test_a_shell_is_found_and_never_run(tmp_path: Path, protocol: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(shell(marker), protocol))
    recognition = get_runtime("sklearn").recognise(ArtifactFiles(path))
    assert recognition is not None
    assert recognition.needs_trust
    assert recognition.dangerous == ("it imports posix.system",)
    with pytest.raises(NotTrusted):
        get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions(trusted=True))
    assert not marker.exists()


@pytest.mark.parametrize("compress", [0, 3])
def test_a_shell_inside_a_model_is_found_and_never_run(tmp_path: Path, compress: int) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.joblib"
    joblib.dump([np.arange(1000.0), hidden_in_a_model(marker)], path, compress=compress)
    recognition = recognise_pickle(ArtifactFiles(path), "sklearn")
    assert recognition is not None
    assert recognition.dangerous == ("it imports posix.system",)
    with pytest.raises(NotTrusted):
        get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions(trusted=True))
    assert not marker.exists()


def test_a_shell_inside_an_array_of_objects_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"model": forest(), "names": np.array([shell(tmp_path / "marker")], dtype=object)}, path)
    found = scan(path)
    assert found is not None
    assert found.dangerous == ("posix.system",)
    assert found.unreadable is None


def test_a_shell_behind_damage_is_still_reported(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([shell(tmp_path / "marker"), "x" * 100])[:-60])
    found = scan(path)
    assert found is not None
    assert found.dangerous == ("posix.system",)
    assert found.unreadable is not None


@pytest.mark.parametrize("opcode", [pickle.BYTEARRAY8, pickle.BINBYTES8, pickle.BINUNICODE8])
def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path, opcode: bytes) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.PROTO + b"\x05" + opcode + (1 << 62).to_bytes(8, "little") + b"few")
    found = scan(path)
    assert found is not None
    assert "cannot be read" in (found.unreadable or "")


def test_names_that_no_model_needs_are_told_from_those_that_some_do() -> None:
    bad = [
        ("os", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("socket", "socket"),
        ("runpy", "run_path"),
        ("importlib", "import_module"),
        ("builtins", "__import__"),
        ("multiprocessing.util", "spawnv_passfds"),
    ]
    fine = [
        ("functools", "partial"),
        ("builtins", "getattr"),
        ("operator", "itemgetter"),
        ("sklearn.pipeline", "Pipeline"),
        ("numpy", "ndarray"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("my_company.features", "Clean"),
    ]
    assert find_dangerous(bad) == [f"{module}.{name}" for module, name in bad]
    assert find_dangerous(fine) == []


def test_a_computed_import_is_reported_as_computed() -> None:
    findings = Findings()
    # STACK_GLOBAL of a module name that a call returned.
    follow(io.BytesIO(b"\x80\x04\x8c\x08builtins\x8c\x03str\x93)R\x8c\x06system\x93."), findings)
    assert ("(computed)", "system") in findings.imports


def test_reasons_are_bounded_and_name_the_worst_first(tmp_path: Path) -> None:
    import os
    import string

    names = [Call(getattr(string, name)) for name in ("capwords",)]
    many = b"\x80\x02" + b"".join(f"cmodule{index}\nname\n0".encode() for index in range(100))
    path = tmp_path / "model.pkl"
    path.write_bytes(many + pickle.dumps([*names, Call(os.getcwd)], 2)[2:])
    recognition = recognise_pickle(ArtifactFiles(path), "sklearn")
    assert recognition is not None
    assert recognition.reasons[0] == "it imports posix.getcwd"
    assert len(recognition.reasons) == MAX_REASONS + 1
    assert recognition.reasons[-1].startswith("and ")


def test_what_cannot_be_scanned_needs_trust_for_that_reason(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    path.write_bytes(b"\x04\x22\x4d\x18" + b"\0" * 100)
    recognition = recognise_pickle(ArtifactFiles(path), "sklearn")
    assert recognition is not None
    assert recognition.needs_trust
    assert recognition.reasons == ("it cannot be scanned to its end: it is compressed with lz4",)


def test_a_file_that_unpacks_beyond_the_bound_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.runtime.pickle_scan.MAX_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / "bomb.joblib"
    joblib.dump([forest(), np.zeros(10_000_000)], path, compress=9)
    recognition = recognise_pickle(ArtifactFiles(path), "sklearn")
    assert recognition is not None
    assert recognition.needs_trust
    assert "unpacks to more than" in recognition.reasons[0]


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_pickled_wrappers_belong_to_their_framework_and_need_trust(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(wrapper(name)))
    found = {runtime: recognise_pickle(ArtifactFiles(path), runtime) for runtime in ("sklearn", "xgboost", "lightgbm")}
    assert [runtime for runtime, recognition in found.items() if recognition is not None] == [name]
    recognition = found[name]
    assert recognition is not None
    assert recognition.needs_trust
    with pytest.raises(NotTrusted):
        get_runtime(name).load(ArtifactFiles(path), LoadOptions())


def test_a_pipeline_around_another_framework_belongs_to_scikit_learn(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(make_pipeline(StandardScaler(), wrapper("xgboost"))))
    found = scan(path)
    assert found is not None
    assert found.framework == "sklearn"
    assert any(name.startswith("xgboost.") for name in found.imports)


def wrapper(name: str) -> object:
    rng = np.random.default_rng(0)
    data, labels = rng.random((60, 3)), rng.integers(0, 2, 60)
    if name == "xgboost":
        import xgboost

        return xgboost.XGBClassifier(n_estimators=2, max_depth=2, n_jobs=1).fit(data, labels)
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=2, num_leaves=4, verbose=-1, n_jobs=1).fit(data, labels)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_machine_fail_in_another_way(data: bytes) -> None:
    for start in (b"", b"\x80\x04"):
        with contextlib.suppress(UnreadablePickleError):
            follow(io.BytesIO(start + data), Findings())


@given(st.data())
def test_no_change_of_a_real_pickle_makes_the_machine_fail_in_another_way(data: st.DataObject) -> None:
    content = bytearray(_REAL)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadablePickleError):
        follow(io.BytesIO(bytes(content)), Findings())


def _small_joblib() -> bytes:
    buffer = io.BytesIO()
    joblib.dump({"weights": np.arange(4.0), "names": np.array(["a", None], dtype=object)}, buffer)
    return buffer.getvalue()


_REAL = _small_joblib()


def test_pickles_of_other_frameworks_are_not_claimed(tmp_path: Path, trained: Mapping[str, TrainedModel]) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.")
    for runtime in ("sklearn", "xgboost", "lightgbm"):
        assert recognise_pickle(ArtifactFiles(path), runtime) is None
    assert recognise_pickle(ArtifactFiles(trained["skops"].path), "sklearn") is None


def test_a_function_of_the_script_that_saved_the_model_is_named_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    dumped = pickle.dumps(FunctionTransformer(np.log1p), 0)
    path.write_bytes(dumped.replace(b"cnumpy\nlog1p\n", b"c__main__\nadd_ratios\n"))
    with pytest.raises(InvalidInput, match=r"needs __main__\.add_ratios: code of the script") as caught:
        get_runtime("sklearn").load(ArtifactFiles(path), LoadOptions(trusted=True))
    assert "into a module" in (caught.value.hint or "")
