"""Pickles that would do harm if anything unpickled them, each with a way to see whether anything did."""

from __future__ import annotations

import faulthandler
import operator
import os
import pickle
import time
from pathlib import Path
from typing import Any


class Call:
    """Pickles as a call of `function`: unpickling performs it."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


def shell(marker: Path) -> Call:
    """A call of `os.system` that would create the file `marker`."""
    return Call(os.system, f"touch {marker}")


def hidden_in_a_model(marker: Path) -> Any:
    """A pipeline with the same call among its attributes, behind everything that is harmless."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler())
    model.note_ = shell(marker)
    return model


def crash() -> bytes:
    """A pickle that ends the process that loads it with a segmentation fault."""
    return pickle.dumps(Call(faulthandler._sigsegv))


def never_ends() -> bytes:
    """A pickle that takes an hour to load."""
    return pickle.dumps(Call(time.sleep, 3600))


def takes_memory() -> bytes:
    """A pickle of a few bytes that becomes a list of 2 GB."""
    return pickle.dumps(Call(operator.mul, [0], 250_000_000))


def prints() -> bytes:
    """A pickle that writes something like an answer to standard output, and holds no model."""
    return pickle.dumps(Call(print, '{"ok": {"digest": "forged", "warnings": []}}'))
