"""Ray Serve: one replica behind the proxy, batched by `serve.batch`; everything on loopback, without the dashboard."""

import asyncio
import os
import signal

import predictors
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

PORT = int(os.environ["BENCH_PORT"])


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 0.1},
    logging_config={"enable_access_log": False, "log_level": "WARNING"},
)
class Model:
    def __init__(self) -> None:
        self.model = predictors.load()

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=float(os.environ["BENCH_BATCH_TIMEOUT"]))
    async def batched(self, groups):
        return predictors.in_one_call(self.model, groups)

    async def __call__(self, request: Request) -> JSONResponse:
        body = await request.json()
        return JSONResponse({"predictions": (await self.batched(body["data"])).tolist()})


async def main() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


if __name__ == "__main__":
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        object_store_memory=128 << 20,
        _node_ip_address="127.0.0.1",
        _temp_dir=os.environ["BENCH_FOLDER"],
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": PORT},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    serve.run(Model.bind(), route_prefix="/predict")
    try:
        asyncio.run(main())
    finally:
        ray.shutdown()
