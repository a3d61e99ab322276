"""How long Tidegate's own runtime takes for a batch in a bare process: what a server's answer is measured against.

`python -m benchmarks.serving.inprocess BUNDLE ROWS.json CORE`: loads the bundle as the server does, with one thread,
predicts the rows as typed arrays again and again, and prints the times as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tidegate.runtime.frameworks import limit_threads

_SECONDS, _LEAST = 1.5, 15


def measured(bundle_folder: Path, rows: list[Any]) -> dict[str, Any]:
    """Return the median and the 99th percentile of one `predict` on `rows`, in milliseconds."""
    import numpy as np

    from tidegate.artifact.bundle import load_model, read_bundle
    from tidegate.runtime.base import NUMPY_DTYPES
    from tidegate.runtime.rows import inputs_from_rows

    model = load_model(read_bundle(bundle_folder), threads=1)
    specs = model.signature.inputs
    if isinstance(rows[0], dict):
        inputs = inputs_from_rows(specs, rows)
    else:
        inputs = {specs[0].name: np.asarray(rows, dtype=NUMPY_DTYPES[specs[0].datatype])}
    model.predict(inputs)
    spent: list[float] = []
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end or len(spent) < _LEAST:
        began = time.perf_counter()
        model.predict(inputs)
        spent.append(1e3 * (time.perf_counter() - began))
    return {"median_ms": float(np.median(spent)), "p99_ms": float(np.quantile(spent, 0.99)), "calls": len(spent)}


if __name__ == "__main__":
    limit_threads(1)  # before NumPy is imported, as the server does
    os.sched_setaffinity(0, {int(sys.argv[3])})
    json.dump(measured(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())), sys.stdout)
