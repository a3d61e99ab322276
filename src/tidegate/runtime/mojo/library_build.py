"""Makes the library of kernels: compiled by numba, linked by a C compiler. See `kernel_library` for what it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.kernel_library import MODULE, VARIABLE, file_name, has_numba
from tidegate.runtime.mojo.sources import FOLDER

_COMPILE = ("-O2", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-w")
#: All that is not defined must be Python's or the C library's; `_tried` finds out.
_LINK = ("-shared", "-Wl,--gc-sections", "-Wl,-Bsymbolic", "-Wl,-z,text", "-Wl,-z,noexecstack", "-Wl,-s")
#: Numba's C code that compiled kernels call, and that the library takes along; the last is C++ without its library.
_HELPERS = ("_helperlib.c", "_dynfunc.c", "core/runtime/_nrt_python.c", "core/runtime/nrt.cpp")
_SECONDS = 3600.0


def build_library(folder: Path, models: Sequence[str] = ()) -> Iterator[str]:
    """Make the library of this source in a folder, and yield the names of the kernels, each when its turn comes.

    Args:
        models: MOJO files; with some, the library has the kernels of the modules that they need, and no others.

    Raises:
        Unavailable: numba, its C code or a C compiler is not there, or this is not Linux.
        InvalidInput: a model cannot be read, or the folder cannot be written to.
    """
    # Named before anything is compiled: what changes meanwhile is not in it.
    compiler, numba, name = _compiler(), _numba(), file_name()
    with tempfile.TemporaryDirectory(prefix="tidegate-kernels-") as scratch:
        work = Path(scratch)
        # First what takes a second, so that nobody waits for minutes to hear that it cannot be.
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        _compile(work, compiler, numba, "memory.o")
        yield from _objects(work, models)
        made = _linked(work, name, compiler, numba)
        _tried(made)
        with _writing(folder):
            for title, path in {**_licences(), name: made}.items():
                new = folder / f".{title}"
                shutil.copyfile(path, new)
                new.chmod(0o644)
                new.replace(folder / title)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raise InvalidInput for what the system has against writing to the folder."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"The library cannot be written: {error.strerror}.", subject=str(folder), hint="Choose another folder."
        ) from error


def _compiler() -> str:
    if not sys.platform.startswith("linux"):
        raise Unavailable("A library of kernels is made on Linux alone.", got=sys.platform)
    named = os.environ.get("CC") or "cc"
    found = shutil.which(named)
    if found is None:
        raise Unavailable(
            "There is no C compiler.", expected="GCC with C++, or Clang", got=f"no {named}",
            hint="Debian: apt-get install g++. The environment variable CC names another.",
        )  # fmt: skip
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        raise Unavailable(
            "Python's headers are not here.",
            expected=str(header),
            hint="Debian's Python: apt-get install libpython3-dev",
        )
    return found


def _numba() -> Path:
    if not has_numba():
        raise Unavailable("numba, which compiles kernels, is not installed here.", hint="pip install 'tidegate[mojo]'")
    import numba

    folder = Path(numba.__file__).parent
    missing = [name for name in _HELPERS if not (folder / name).is_file()]
    if missing:
        raise Unavailable(
            f"numba {numba.__version__} comes without the C code that a library of kernels takes along.",
            expected=", ".join(missing), hint="Install numba 0.68, with which it was tried.",
        )  # fmt: skip
    return folder


def _objects(work: Path, models: Sequence[str]) -> Iterator[str]:
    """Compile in a process that finds nothing compiled before, and yield what it says."""
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "NUMBA_DISABLE_JIT")}
    environment |= {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": str(work / "cache")}
    command = [sys.executable, "-m", "tidegate.runtime.mojo.library_objects", str(work), *models]
    with (work / "errors").open("w+", encoding="utf-8") as errors:
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        with running:
            try:
                yield from (line.rstrip("\n") for line in running.stdout or ())
            except BaseException:
                running.kill()
                raise
        errors.seek(0)
        said = errors.read()
    if running.returncode:
        raise Unavailable("The kernels cannot be compiled.", got=said.strip()[-2000:])


def _linked(work: Path, file: str, compiler: str, numba: Path) -> Path:
    _compile(work, compiler, numba, "library.o")
    made = work / file
    _run(compiler, *_LINK, *(work / name for name in ("library.o", "memory.o", "kernels.o")), "-lm", "-o", made)
    return made


def _compile(work: Path, compiler: str, numba: Path, name: str) -> None:
    source: tuple[str | Path, ...] = ("-x", "c", FOLDER / "library.c")
    if name == "memory.o":
        source = ("-fno-exceptions", "-fno-rtti", "-x", "c++", numba / _HELPERS[-1])
    included = [f"-I{one}" for one in (numba, work, sysconfig.get_path("include"), np.get_include())]
    _run(compiler, *_COMPILE, *included, "-c", *source, "-o", work / name)


def _run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise Unavailable(
            "The C compiler refuses.", got=done.stderr.strip()[-2000:],
            hint="It takes GCC with C++, or Clang. Debian: apt-get install g++",
        )  # fmt: skip


def _tried(made: Path) -> None:
    """Load it in a process of its own: only there is seen whether all that it calls is defined."""
    program = "from importlib.machinery import ExtensionFileLoader as L\nfrom importlib.util import *\nimport sys\n"
    program += "m = module_from_spec(spec_from_loader(sys.argv[1], L(*sys.argv[1:])))\nm.__loader__.exec_module(m)\n"
    done = subprocess.run(
        [sys.executable, "-c", program, MODULE, str(made)],
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Unavailable("The library is made, and cannot be loaded.", got=done.stderr.strip()[-2000:])


def _licences() -> dict[str, Path]:
    """Return numba's licences, whose texts go with its code, by the names that they get."""
    files = metadata.files("numba") or ()
    return {f"numba.{one.name}": Path(str(one.locate())) for one in files if one.name.startswith("LICENSE")}
