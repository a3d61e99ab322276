"""What the servers run that bring no runtime of their own: each model on its own framework, the fastest documented way.

Runs in the environments of the peers, so it imports nothing of this project.
"""

import os
from pathlib import Path

import numpy as np

KIND = os.environ["BENCH_MODEL_KIND"]
PATH = Path(os.environ["BENCH_MODEL_PATH"])


def load():
    """Return a function from rows (lists of numbers, or records; an array or a DataFrame too) to an array of floats."""
    return {"xgboost": _xgboost, "pipeline": _pipeline, "network": _network}[KIND]()


def _xgboost():
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=str(PATH))
    # Without a DMatrix: XGBoost's own recommendation for serving, and several times faster for one row.
    return lambda rows: booster.inplace_predict(np.asarray(rows, dtype=np.float32))


def _pipeline():
    import joblib
    import pandas as pd

    pipeline = joblib.load(PATH)
    return lambda rows: pipeline.predict(rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows))


def _network():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(PATH), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: np.asarray(rows, dtype=np.float32)})[0].reshape(-1)


def in_one_call(predict, groups):
    """Answer several requests' rows with one call of the model; return one array per request."""
    sizes = [len(rows) for rows in groups]
    answers = predict([row for rows in groups for row in rows])
    return np.split(answers, np.cumsum(sizes)[:-1])
