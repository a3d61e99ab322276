"""Machine code on disk is used only while everything that it was made of is the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.runtime.mojo import compiled, jit, sources
from tidegate.runtime.mojo.sources import source_stamp

INNER = (
    "from tidegate.runtime.mojo.compiled import kernel\n\n@kernel\ndef inner(x: float) -> float:\n    return x + {}\n"
)
OUTER = """from tidegate.runtime.mojo.compiled import kernel
from tidegate.runtime.mojo.inner_kernel import inner

@kernel
def outer(x: float) -> float:
    return inner(x) * 2.0
"""
RUN = """
{before}
from tidegate.runtime.mojo.outer_kernel import outer
print(outer(1.0), sum(outer.stats.cache_hits.values()), sum(outer.stats.cache_misses.values()))
"""
#: The modules that turn a function into a kernel, and those that they import.
NEEDED = (
    "compiled", "errors", "jit", "kernel_library", "machine_code", "signatures", "sources", "trust", "xgboost_nodes",
)  # fmt: skip
#: What the process of another user meets, where tests may be run by one who may write everywhere.
MAY_NOT_WRITE = """
from numba.core import caching

def refuse(*args, **kwargs):
    raise PermissionError("somebody else's folder")

caching.tempfile.TemporaryFile = refuse
caching.IndexDataCacheFile.save = refuse
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package with two more kernels, the one of which calls the other."""
    source = Path(compiled.__file__).resolve().parent
    folder = tmp_path / "tidegate" / "runtime" / "mojo"
    folder.mkdir(parents=True)
    for parent in (folder, *folder.parents[:2]):
        (parent / "__init__.py").touch()
    for name in NEEDED:
        shutil.copy(source / f"{name}.py", folder)
    (folder.parents[1] / "contract").mkdir()
    shutil.copy(source.parents[1] / "contract" / "errors.py", folder.parents[1] / "contract")
    (folder / "inner_kernel.py").write_text(INNER.format("1.0"))
    (folder / "outer_kernel.py").write_text(OUTER)
    return folder


def run(package: Path, cache: str, before: str = "") -> list[float]:
    environment = {**os.environ, "PYTHONPATH": str(package.parents[2]), "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(before=before)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(package: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert run(package, cache) == [4.0, 0.0, 1.0]
    assert run(package, cache) == [4.0, 1.0, 0.0]
    (package / "inner_kernel.py").write_text(INNER.format("2.0"))
    assert run(package, cache) == [6.0, 0.0, 1.0]
    assert run(package, cache) == [6.0, 1.0, 0.0]


def test_machine_code_in_a_folder_of_somebody_else_is_used(package: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert run(package, cache, MAY_NOT_WRITE) == [4.0, 0.0, 1.0]
    assert run(package, cache) == [4.0, 0.0, 1.0]
    assert run(package, cache, MAY_NOT_WRITE) == [4.0, 1.0, 0.0]
    (package / "inner_kernel.py").write_text(INNER.format("2.0"))
    assert run(package, cache, MAY_NOT_WRITE) == [6.0, 0.0, 1.0]


def test_a_stamp_covers_what_is_imported_through_other_modules() -> None:
    assert "tree_kernel" in sources._reached("forest_kernel")
    assert source_stamp("forest_kernel") != source_stamp("tree_kernel")
    assert source_stamp("forest_kernel") == source_stamp("forest_kernel")


def test_the_folder_is_numbas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    folder = compiled.cache_folder()
    assert folder is not None
    assert folder.parent == tmp_path / "cache"


def test_all_kernels_carry_that_stamp() -> None:
    from tidegate.runtime.mojo.forest_kernel import score_gbm

    assert score_gbm._cache._cache_file._source_stamp == source_stamp("forest_kernel")  # type: ignore[attr-defined]


def test_a_disk_that_cannot_be_written_to_costs_compiling_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(function: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(jit, "KernelCache", nowhere)

    def double(x: float) -> float:
        return x * 2.0

    assert compiled.kernel(double)(2.0) == 4.0


def test_a_numba_that_keeps_its_stamp_elsewhere_costs_compiling_and_no_wrong_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere:
        def __init__(self, function: object) -> None:
            self._cache_file = object()

    monkeypatch.setattr(jit, "KernelCache", Elsewhere)

    def double(x: float) -> float:
        return x * 2.0

    kernel = compiled.kernel(double)
    assert kernel(2.0) == 4.0
    assert not isinstance(kernel._cache, Elsewhere)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "line",
    [
        "from tidegate.runtime.mojo.inner import x",
        "from tidegate.runtime.mojo import inner",
        "from tidegate.runtime.mojo import other as o, inner as i",
        "from tidegate.runtime.mojo import (\n    other,\n    inner,\n)",
    ],
)
def test_every_form_of_import_counts(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"outer": line + "\n"}
    monkeypatch.setattr(sources, "_source", lambda name: texts.get(name, ""))
    assert "inner" in sources._reached("outer")
