"""MLServer has no runtime for ONNX: a custom one, after its guide to custom inference runtimes."""

import predictors
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self.predictor = predictors.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        answer = self.predictor(self.decode_request(payload, default_codec=NumpyRequestCodec))
        outputs = [NumpyCodec.encode_output("predict", answer.reshape(-1, 1))]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)
