"""Two forests of about 300 MB, in files and in memory, for the price of half a minute."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: A node takes 72 bytes, and a full tree over n rows has about 1.26 n nodes (bootstrap samples leave a third out).
TREES = 12
_NODE_BYTES, _NODES_PER_ROW = 72, 1.26
COLUMNS = 8


def train_forest(path: Path, megabytes: int, seed: int) -> list[float]:
    """Train a forest, save it as a skops file, and return one row that it answers."""
    import skops.io
    from sklearn.ensemble import RandomForestRegressor

    rows = round(megabytes * 1e6 / TREES / _NODE_BYTES / _NODES_PER_ROW)
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(rows, COLUMNS))
    targets = inputs @ generator.normal(size=COLUMNS) + generator.normal(size=rows)
    forest = RandomForestRegressor(n_estimators=TREES, max_features=1, random_state=seed, n_jobs=1)
    forest.fit(inputs.astype(np.float32), targets)
    forest.set_params(n_jobs=None)
    skops.io.dump(forest, path)
    return [float(value) for value in inputs[0]]
