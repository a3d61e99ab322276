"""KServe's Python server. Its runtimes for XGBoost and scikit-learn are not on PyPI, so the model is a custom
`kserve.Model` that does what they do: take the tensor, or the DataFrame, and answer with one tensor.
"""

import os

import kserve
import kserve.protocol.rest.server as rest
import predictors
import uvicorn
from kserve.utils.utils import get_predict_input, get_predict_response


class LoopbackConfig(uvicorn.Config):
    """KServe listens on every interface and logs every request, and has no setting for either."""

    def __init__(self, app, **settings) -> None:
        super().__init__(app, **{**settings, "host": "127.0.0.1", "access_log": False})


rest.uvicorn.Config = LoopbackConfig


class Model(kserve.Model):
    def __init__(self) -> None:
        super().__init__("bench")
        self.predictor = None

    def load(self) -> bool:
        self.predictor = predictors.load()
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None, response_headers=None):
        return get_predict_response(payload, self.predictor(get_predict_input(payload)), self.name)


if __name__ == "__main__":
    model = Model()
    model.load()
    server = kserve.ModelServer(
        http_port=int(os.environ["BENCH_PORT"]), workers=1, enable_grpc=False, enable_latency_logging=False
    )
    server.start([model])
