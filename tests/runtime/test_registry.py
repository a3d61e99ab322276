"""Runtimes are found by entry point, and every name that is not one is answered with those that are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Runtime
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.registry import get_runtime, runtime_names, runtimes


def test_the_built_in_runtimes_take_the_entry_points_too() -> None:
    assert {"sklearn", "xgboost", "lightgbm", "onnx"} <= set(runtime_names())


def test_every_runtime_is_named_as_it_is_registered() -> None:
    for name, runtime in zip(runtime_names(), runtimes(), strict=True):
        assert isinstance(runtime, Runtime)
        assert runtime.name == name
        assert runtime.packages or name == "command"  # whose packages nobody but the user knows


def test_an_unknown_name_lists_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(InvalidInput) as caught:
        get_runtime("xgbost")
    assert caught.value.got == "xgbost"
    assert "lightgbm" in str(caught.value.expected)
    assert caught.value.hint == "Did you mean xgboost?"


def test_a_framework_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(InvalidInput) as caught:
        import_framework("no_such_framework", extra="xgboost", what="An XGBoost model")
    assert "no_such_framework" in caught.value.message
    assert caught.value.hint == "pip install 'tidegate[xgboost]'"


@pytest.mark.parametrize("name", ["sklearn", "xgboost", "lightgbm", "onnx"])
def test_a_setting_that_a_runtime_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"\0")
    with pytest.raises(InvalidInput) as caught:
        get_runtime(name).load(ArtifactFiles(path), LoadOptions(settings={"label": ["a", "b"]}))
    assert caught.value.subject == "modelArtifact.settings.label"
    if name in ("xgboost", "lightgbm"):
        assert caught.value.hint == "Did you mean labels?"


def test_the_environment_has_the_last_word_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "set so that it is put back")
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    limit_threads(2)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
