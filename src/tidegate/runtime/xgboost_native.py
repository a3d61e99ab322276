"""XGBoost's C API, called without the Python layer above it, which takes up to 0.1 ms for a batch.

`XGBoosterPredictFromDense` is public and documented: https://xgboost.readthedocs.io/en/stable/c.html. The library and
the booster's handle come from the package `xgboost`, where they are attributes with a leading underscore or without
documentation; so what is made here is compared with `Booster.inplace_predict` before it is used.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tidegate.runtime.base import Array
from tidegate.runtime.trees import NotCoveredError
from tidegate.runtime.trees_engine import Scores, require_close

_PROBE = np.array([0.0, np.nan, 0.5, -3.0, 1e6, 2.0, 7.0], dtype=np.float32)


def native_scores(xgboost: Any, booster: Any, iterations: tuple[int, int]) -> Scores:
    """Return a function from a float32 matrix, shape [rows, features], C order, missing as NaN, to the scores.

    The call lets go of the interpreter's lock, and any number of threads may make it at once: the answer lies in
    memory of the thread until its next call, and is copied out of it.

    Raises:
        NotCoveredError: this version of the package keeps the library elsewhere, or answers differently through it.
    """
    try:
        library, handle = xgboost.core._LIB, booster.handle
        predict, last_error = library.XGBoosterPredictFromDense, library.XGBGetLastError
    except AttributeError as error:
        raise NotCoveredError(f"this version of xgboost has no {error.name}") from error
    begin, end = iterations
    arguments = (
        b'{"type":0,"training":false,"iteration_begin":%d,"iteration_end":%d,'
        b'"missing":NaN,"strict_shape":false,"cache_id":0}' % (begin, end)
    )

    def scores(matrix: Array) -> Array:
        content = b'{"data":[%d,true],"shape":[%d,%d],"strides":null,"typestr":"<f4","version":3}' % (
            matrix.ctypes.data, *matrix.shape
        )  # fmt: skip
        shape = ctypes.POINTER(ctypes.c_uint64)()
        dimensions = ctypes.c_uint64()
        found = ctypes.POINTER(ctypes.c_float)()
        failed = predict(
            handle, content, arguments, None, ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(found)
        )
        if failed:
            raise xgboost.core.XGBoostError(last_error().decode(errors="replace"))
        answer: Array = np.ctypeslib.as_array(found, shape=tuple(shape[axis] for axis in range(dimensions.value)))
        return answer.copy()

    probe = np.resize(_PROBE, (3, booster.num_features()))
    own = booster.inplace_predict(probe, iteration_range=iterations, validate_features=False)
    require_close(scores(probe), np.asarray(own))
    return scores
