"""BentoML: a service with one typed endpoint, batched by the server where that is asked for."""

import os
from typing import Any

import bentoml
import numpy as np
import pandas as pd
import predictors

BATCHED = os.environ.get("BENCH_BATCHED") == "1"
# BentoML 1.4.39 cannot batch DataFrames (its dispatcher adds an int to their shape), but it batches lists of records.
Frame = list[dict[str, Any]] if BATCHED else pd.DataFrame
Data = Frame if predictors.KIND == "pipeline" else np.ndarray
OPTIONS = {"batchable": True, "batch_dim": 0, "max_batch_size": 16_384, "max_latency_ms": 60_000} if BATCHED else {}


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Service:
    def __init__(self) -> None:
        self.model = predictors.load()

    @bentoml.api(**OPTIONS)
    def predict(self, data: Data) -> np.ndarray:
        return self.model(data)
