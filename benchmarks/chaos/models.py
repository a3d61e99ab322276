"""Two candidates of one deployment: one that answers, and one that fails a share of its requests."""

from __future__ import annotations

from pathlib import Path

#: Of the requests that the harmful candidate fails.
HARM = 0.4
#: Users ask for sizes from here on; what a model is checked with before users meet it is smaller, and does no harm.
SMALLEST = 40

_CODE = """\
import numpy as np


class Model:
    inputs = [{{"name": "size"}}]

    def load(self, folder):
        self.asked = 0

    def predict(self, inputs):
        size = inputs["size"]
        if (size >= {smallest}).any():
            self.asked += 1
            if (self.asked * 0.618) % 1 < {harm}:
                raise ValueError("this candidate does harm")
        return {{"price": size * {factor}}}
"""


def write(folder: Path, *, harm: float, factor: float) -> Path:
    """Write a model folder and return it; `factor` makes it another artifact than the others."""
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(_CODE.format(harm=harm, factor=factor, smallest=SMALLEST))
    return folder
