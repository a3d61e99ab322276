"""Candidates of one deployment that are well until they are told to do harm."""

from __future__ import annotations

from pathlib import Path

#: Of its answers, that a candidate spoils once it is told to.
SPOILED_PERCENT = 25
#: What a latency fault adds, in seconds.
ADDED_SECONDS = 0.3

_CODE = """\
import os
import time

import numpy as np

FACTOR = {factor}


class Model:
    inputs = [{{"name": "size"}}]

    def load(self, folder):
        self.asked = 0

    def predict(self, inputs):
        price = inputs["size"] * 4000.0
        if os.path.exists({onset!r}):
            self.asked += 1
            if self.asked * {percent} % 100 < {percent}:
                {harm}
        return {{"price": price}}
"""

_HARM = {
    "none": "pass",
    "errors": 'raise ValueError("this candidate fails")',
    "latency": f"time.sleep({ADDED_SECONDS})",
    "wrong answers": "price = price * 2",
}
FAULTS = tuple(name for name in _HARM if name != "none")


def write(folder: Path, number: int, fault: str = "none") -> tuple[Path, Path]:
    """Write a model folder; return it, and the file whose presence brings on the fault. No two have the same number."""
    place, onset = folder / f"model-{number}", folder / f"onset-{number}"
    place.mkdir(parents=True)
    code = _CODE.format(factor=number, onset=str(onset), percent=SPOILED_PERCENT, harm=_HARM[fault])
    (place / "model.py").write_text(code)
    return place, onset
