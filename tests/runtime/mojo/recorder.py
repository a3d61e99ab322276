"""With which types the interpreter calls kernels: what `kernel_signatures.json` has to have.

python -m tests.runtime.mojo.recorder          asks all kept models, and writes that file anew; half an hour

It is a plug-in of pytest as well (`-p tests.runtime.mojo.recorder`): each process writes what it saw into the folder of
the environment variable MOJO_CALLS. Kernels must not be imported before: those that are go on as they were.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tidegate.runtime.mojo import compiled, signatures

#: Tests that ask models as users do. Others call kernels with what no model hands over.
TESTS = tuple(
    f"test_{name}.py"
    for name in (
        "deep_learning", "extended_isolation", "gam", "genmodel", "glm", "info", "insight", "load", "lost_encodings",
        "matrix", "nested", "old_boosters", "old_forests", "old_shapes", "onnx_export", "parts", "reconstruction",
        "reweighted", "row_answers", "rows", "runtime", "shelf", "small_models", "word2vec", "xgboost",
    )
)  # fmt: skip
_FOLDER = "MOJO_CALLS"
_seen: set[tuple[str, tuple[str, ...]]] = set()


class _Recorded:
    """A kernel of numba's, whose calls from the interpreter are noted; other kernels call it as the one that it is."""

    def __init__(self, kernel: Any) -> None:
        function = kernel.py_func
        self.__dict__.update(
            _kernel=kernel,
            _name=f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}",
            _numba_type_=kernel._numba_type_,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernel, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._kernel, name, value)

    def __call__(self, *arguments: Any) -> Any:
        _seen.add((self._name, tuple(map(signatures.described, arguments))))
        return self._kernel(*arguments)


def install() -> None:
    """Note calls of all kernels that are imported from now on."""
    make: Callable[..., Any] = compiled._kernel

    def noted(function: Any, *, nogil: bool) -> Any:
        return _Recorded(make(function, nogil=nogil))

    compiled._kernel = noted


def seen() -> list[tuple[str, tuple[str, ...]]]:
    """Return each kernel with the words of each way in which it was called here."""
    return sorted(_seen)


def joined(calls: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[list[str]]]:
    """Return calls as a table: an array that could not be written to in one of them is not written to in any."""
    found: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for kernel, call in calls:
        words = list(call)
        ways = found.setdefault(kernel, {})
        plain = tuple(word.rstrip("!") for word in words)
        before = ways.get(plain, words)
        ways[plain] = [one if one == other else one.rstrip("!") for one, other in zip(before, words, strict=True)]
    # The first that an array fits is taken: one for any order comes after those for its own.
    return {
        kernel: sorted(ways.values(), key=lambda way: [word.replace("A", "Z") for word in way])
        for kernel, ways in sorted(found.items())
    }


def fits(call: Sequence[str], way: Sequence[str]) -> bool:
    """Say whether code for a way can be called so: it may be handed an array that could be written to and is not."""
    return len(call) == len(way) and all(
        given in (wanted, f"{wanted}!") for given, wanted in zip(call, way, strict=True)
    )


def text_of(table: dict[str, list[list[str]]]) -> str:
    """Return a table as JSON with one way per line."""
    kernels = (
        f"{json.dumps(kernel)}: [\n" + ",\n".join(f"  {json.dumps(way)}" for way in ways) + "\n]"
        for kernel, ways in table.items()
    )
    return "{\n" + ",\n".join(kernels) + "\n}\n"


def main() -> None:
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
        command += ["-p", "tests.runtime.mojo.recorder", *(str(here / name) for name in TESTS)]
        subprocess.run(command, env={**os.environ, _FOLDER: folder}, check=True)
        calls = [call for path in Path(folder).iterdir() for call in json.loads(path.read_text())]
    signatures._FILE.write_text(text_of(joined(calls)), encoding="utf-8")


def pytest_sessionfinish() -> None:
    """Write what was seen: xdist ends its workers without what others do at the end of a process."""
    if _FOLDER in os.environ:
        _write()


def _write() -> None:
    (Path(os.environ[_FOLDER]) / f"{os.getpid()}.json").write_text(json.dumps(seen()))


if __name__ == "__main__":
    if "--tests" in sys.argv:
        print(*(f"tests/runtime/mojo/{name}" for name in TESTS))
    else:
        main()
elif _FOLDER in os.environ:
    install()
    atexit.register(_write)
