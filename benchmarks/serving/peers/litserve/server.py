"""LitServe: a LitAPI, batched by the server."""

import os

import litserve
import predictors


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = predictors.load()

    def decode_request(self, request):
        return request["data"]

    def predict(self, rows):
        return self.model(rows)

    def encode_response(self, output):
        return {"predictions": output.tolist()}


class BatchedApi(Api):
    def batch(self, inputs):
        return inputs

    def predict(self, inputs):
        return predictors.in_one_call(self.model, inputs)

    def unbatch(self, output):
        return output


if __name__ == "__main__":
    size = int(os.environ["BENCH_MAX_BATCH_SIZE"])
    api = BatchedApi(max_batch_size=size, batch_timeout=float(os.environ["BENCH_BATCH_TIMEOUT"])) if size > 1 else Api()
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCH_PORT"]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
