"""Importing a framework only when it is needed, with the answer that helps when it is missing."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

from tidegate.contract.errors import InvalidInput

#: Read once by each OpenMP or BLAS library when it is loaded, hence before the framework is imported.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def import_framework(module: str, *, extra: str, what: str) -> ModuleType:
    """Import a module of a framework.

    Args:
        module: e.g. "xgboost".
        extra: the extra of Tidegate that brings it.
        what: what needs it, the subject of the message, e.g. "An XGBoost model".

    Raises:
        InvalidInput: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidInput(
            f"{what} needs the package {module.partition('.')[0]}, which cannot be imported here: {error}.",
            hint=f"pip install 'tidegate[{extra}]'",
        ) from error


def limit_threads(threads: int) -> None:
    """Make libraries that are loaded from now on use at most `threads` threads, unless the environment already says."""
    for variable in _THREAD_VARIABLES:
        os.environ.setdefault(variable, str(max(1, threads)))
    # OpenMP's threads otherwise spin between two predictions, on cores that other replicas need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
