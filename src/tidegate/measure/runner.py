"""The process that runs a user's function: `python -I -B runner.py`, with the standard library alone.

It reads one JSON document from standard input (`path`, `source`, `function`, `context`, `seconds`) and writes one line:
`{"result": …}` or `{"error": …}`. What the function prints goes nowhere. It ends when its parent does, and when it has
used more processor time than it has time.
"""

from __future__ import annotations

import ctypes
import json
import linecache
import os
import resource
import signal
import sys
import traceback
from types import ModuleType
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    _die_with_the_parent()
    seconds = int(request["seconds"]) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.dup(1)
    os.dup2(2, 1)
    said = _run(request)
    # After the answer nothing of the user's runs: no exit handler, no destructor.
    with os.fdopen(answer, "wb") as stream:
        stream.write(said + b"\n")
    os._exit(0)


def _die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)


def _run(request: dict[str, Any]) -> bytes:
    try:
        result = _function(request)(request["context"])
        return json.dumps({"result": result}, default=_plain).encode()
    except BaseException as error:  # noqa: BLE001 - whatever it is, also SystemExit: the function is not ours
        return json.dumps({"error": _told(error, request["path"])}).encode()


def _function(request: dict[str, Any]) -> Any:
    path, name = request["path"], request["function"]
    module = ModuleType("tidegate_metric")
    module.__file__ = path
    sys.modules[module.__name__] = module
    sys.path.insert(0, os.path.dirname(path))  # noqa: PTH120 - pathlib takes 5 ms to import
    linecache.cache[path] = (len(request["source"]), None, request["source"].splitlines(keepends=True), path)
    exec(compile(request["source"], path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - what it is for
    found = getattr(module, name, None)
    if not callable(found):
        raise TypeError(f"there is no function {name} in it")
    return found


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays as JSON values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _told(error: BaseException, path: str) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f"{os.path.basename(path)}{f', line {lines[-1]}' if lines else ''}"  # noqa: PTH119 - as above
    return f"{where}: {type(error).__name__}: {str(error)[:200]}"


if __name__ == "__main__":
    main()
