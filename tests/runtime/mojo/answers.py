"""Writes what models answer, however they are asked, as text in which no bit is lost.

python -m tests.runtime.mojo.answers [--without-numba] MOJO...      {model: {way: answer}}
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def text_of(answer: Any) -> Any:
    """Return an answer with its numbers in hexadecimal."""
    if isinstance(answer, dict):
        return {name: text_of(one) for name, one in answer.items()}
    if isinstance(answer, list | tuple):
        return [text_of(one) for one in answer]
    if isinstance(answer, np.ndarray):
        return [text_of(one) for one in answer.tolist()]
    return answer.hex() if isinstance(answer, float) else str(answer)


def main(*words: str) -> None:
    if words[0] == "--without-numba":
        importlib.import_module("tests.runtime.mojo.without_numba")
        words = words[1:]
    from tests.runtime.mojo.asking import ways_of
    from tidegate import mojo

    told = {}
    for path in words:
        ways = ways_of(Path(path), mojo.load(path))
        told[path] = {name: text_of(ask()) for name, ask in ways.items()}
    imported = [name for name in ("numba", "llvmlite") if name in sys.modules]
    print(json.dumps({"answers": told, "imported": imported}))


if __name__ == "__main__":
    main(*sys.argv[1:])
