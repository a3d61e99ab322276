"""A library of kernels scores to the last bit what numba scores, without numba; and no other code is run."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.mojos import FOLDER
from tidegate import mojo
from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo import kernel_library, signatures
from tidegate.runtime.mojo.errors import MojoUnsupportedError
from tidegate.runtime.mojo.sources import FOLDER as PACKAGE

MODELS = [str(FOLDER / f"{name}.zip") for name in ("kmeans", "glm_offset")]
#: A model of another kind, which the library of those has no kernels for.
OTHER = str(FOLDER / "gbm_offset.zip")

has_compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CC") or "cc") is None, reason="there is no C compiler here: apt-get install g++"
)


def asked(*words: str, library: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Ask models in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != kernel_library.VARIABLE}
    if library is not None:
        environment[kernel_library.VARIABLE] = str(library)
    return subprocess.run(
        [sys.executable, "-m", "tests.runtime.mojo.answers", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the kernels of some models."""
    folder = tmp_path_factory.mktemp("library")
    made = [name for name, _ in mojo.compile_library(folder, MODELS)]
    assert "kmeans_kernel.nearest" in made
    assert not [name for name in made if name.startswith("glrm_")], "no model needs it"
    return folder


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    yield
    kernel_library.used.cache_clear()


@has_compiler
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_compiled() -> None:
    with pytest.raises(InvalidInput, match="cannot be written"):
        next(iter(mojo.compile_library(Path("/proc/none"), MODELS)))


@has_compiler
@pytest.mark.long
def test_models_are_scored_without_numba_to_its_last_bit(library: Path) -> None:
    alone = asked("--without-numba", *MODELS, library=library)
    assert alone.returncode == 0, alone.stderr[-3000:]
    compiled = asked(*MODELS)
    assert compiled.returncode == 0, compiled.stderr[-3000:]
    told, expected = json.loads(alone.stdout), json.loads(compiled.stdout)
    assert (told["imported"], expected["imported"]) == ([], ["numba", "llvmlite"])
    assert len(told["answers"][MODELS[1]]["rows"]) == 9
    assert told["answers"] == expected["answers"]


@has_compiler
@pytest.mark.long
def test_numba_is_not_imported_where_it_is_installed(library: Path) -> None:
    told = asked(MODELS[0], library=library)
    assert json.loads(told.stdout)["imported"] == []


@has_compiler
@pytest.mark.long
def test_a_call_that_the_library_has_no_code_for_is_named(library: Path) -> None:
    told = asked("--without-numba", OTHER, library=library)
    assert told.returncode != 0
    assert "has no code of tree_decode_kernel.decode for (u1:1C, i8" in told.stderr


@has_compiler
@pytest.mark.long
def test_its_licences_lie_beside_it_and_nothing_else(library: Path) -> None:
    assert {path.name for path in library.iterdir()} == {
        kernel_library.file_name(), "numba.LICENSE", "numba.LICENSES.third-party",
    }  # fmt: skip


@has_compiler
@pytest.mark.long
def test_a_kernel_takes_the_code_that_its_arguments_fit(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernel_library.VARIABLE, str(library))
    kernel_library.used.cache_clear()
    found = kernel_library.used()
    assert found is not None

    def nearest() -> None: ...

    nearest.__module__ = "tidegate.runtime.mojo.kmeans_kernel"
    nearest.__qualname__ = "nearest"
    kernel = found.kernel(nearest)
    rows, clusters = np.array([[1.0], [9.0]]), np.empty((2, 1))
    shared = [np.zeros(1), np.zeros(1), np.ones(1), np.zeros(1, dtype=np.bool_), np.array([[0.0], [8.0]])]
    kernel(rows, *shared, np.empty((2, 2)), clusters)
    assert clusters.tolist() == [[0.0], [1.0]]
    fixed = clusters.copy()
    fixed.setflags(write=False)
    for wrong in (fixed, np.empty((2, 1), dtype=np.float32), np.empty(2), np.empty((4, 1))[::2], [[0.0], [0.0]], 1.0):
        with pytest.raises(MojoUnsupportedError, match=r"no code of kmeans_kernel\.nearest for \(f8:2C!, f8:1C!"):
            kernel(rows, *shared, np.empty((2, 2)), wrong)
    with pytest.raises(MojoUnsupportedError, match="no code"):
        kernel()
    with pytest.raises(TypeError, match="keyword"):
        kernel(rows, *shared, np.empty((2, 2)), clusters=clusters)


@has_compiler
def test_the_library_of_another_source_is_not_used(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copied,) = [shutil.copy(path, tmp_path) for path in library.glob("kernels-*")]
    Path(copied).rename(tmp_path / "kernels-0123456789abcdef.so")
    named(monkeypatch, tmp_path, numba=False)
    with pytest.raises(MojoUnsupportedError, match=r"only kernels-0123456789abcdef\.so, of another Tidegate or Python"):
        kernel_library.used()


@has_compiler
def test_a_library_that_others_may_write_is_not_used(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open"
    shutil.copytree(library, folder)
    folder.chmod(0o777)
    named(monkeypatch, folder, numba=False)
    with pytest.raises(MojoUnsupportedError, match="others than root"):
        kernel_library.used()


def test_a_damaged_library_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / kernel_library.file_name()).write_bytes(b"no library")
    named(monkeypatch, tmp_path, numba=False)
    with pytest.raises(MojoUnsupportedError, match="cannot be loaded"):
        kernel_library.used()


def test_where_a_library_is_of_no_use_numba_compiles_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    named(monkeypatch, tmp_path, numba=True)
    assert kernel_library.used() is None
    assert "it has no library" in caplog.text
    assert "compiled by numba instead" in caplog.text


def test_with_neither_numba_nor_a_library_both_are_named() -> None:
    told = asked("--without-numba", *MODELS)
    assert told.returncode != 0
    assert "need the package numba" in told.stderr
    assert kernel_library.VARIABLE in told.stderr


def test_without_a_compiler_no_library_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(Unavailable, match="no C compiler"):
        list(mojo.compile_library(tmp_path / "library"))
    assert not (tmp_path / "library").exists()


def test_each_way_to_call_a_kernel_names_one_with_as_many_arguments() -> None:
    arguments = dict(kernels())
    table = signatures.called()
    assert set(table) <= set(arguments)
    for name, ways in table.items():
        assert {len(way) for way in ways} == {arguments[name]}, name
        words = [word for way in ways for word in way]
        assert [signatures.word_of(*signatures.parsed(word)) for word in words] == words


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.zeros((2, 3)), "f8:2C!"),
        (np.zeros((2, 3), order="F"), "f8:2F!"),
        (np.zeros(4, dtype=np.uint32)[::2], "u4:1A!"),
        (np.frombuffer(b"abc", dtype=np.uint8), "u1:1C"),
        (True, "b1"),
        (1, "i8"),
        (1.0, "f8"),
        (np.float32(1.0), "f4"),
        (None, "NoneType"),
    ],
)
def test_an_argument_is_described_by_its_word(value: Any, word: str) -> None:
    assert signatures.described(value) == word


def named(monkeypatch: pytest.MonkeyPatch, folder: Path, *, numba: bool) -> None:
    """Have a folder named for a library, where numba is or is not installed."""
    monkeypatch.setenv(kernel_library.VARIABLE, str(folder))
    monkeypatch.setattr(kernel_library, "has_numba", lambda: numba)
    kernel_library.used.cache_clear()


def kernels() -> Iterator[tuple[str, int]]:
    """Yield the kernels of the package, each with the number of its arguments."""
    for path in PACKAGE.glob("*_kernel.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                yield f"{path.stem}.{node.name}", len(node.args.args)
