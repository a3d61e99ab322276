"""BentoML: a service with one typed endpoint, batched by the server where that is asked for."""

import os

import bentoml
import numpy as np
import pandas as pd
import predictors

Data = pd.DataFrame if predictors.KIND == "pipeline" else np.ndarray
BATCHED = os.environ.get("BENCH_BATCHED") == "1"
OPTIONS = {"batchable": True, "batch_dim": 0, "max_batch_size": 16_384, "max_latency_ms": 60_000} if BATCHED else {}


@bentoml.service(workers=1, traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Service:
    def __init__(self) -> None:
        self.model = predictors.load()

    @bentoml.api(**OPTIONS)
    def predict(self, data: Data) -> np.ndarray:
        return self.model(data)
