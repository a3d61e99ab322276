"""Ask a server as a user of KServe's Python client does, and print what came back: `kserve_client.py URL GRPC_ADDRESS`.

Runs in KServe's own environment, so it imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

COLUMNS = {
    "distance": ("FP64", np.array([400.0, 700.0])),
    "hour": ("FP32", np.array([18.0, 6.0], np.float32)),
    "month": ("INT64", np.array([7, 1])),
    "carrier": ("BYTES", np.array(["UA", "AA"], object)),
}


def request(*, binary: bool, binary_outputs: tuple[str, ...] = ()) -> Any:
    inputs = [InferInput(name, [2], datatype) for name, (datatype, _) in COLUMNS.items()]
    for tensor, (_, values) in zip(inputs, COLUMNS.values(), strict=True):
        tensor.set_data_from_numpy(values, binary_data=binary)
    outputs = [RequestedOutput(name, parameters={"binary_data": True}) for name in binary_outputs]
    return InferRequest("flights", inputs, request_id="k-1", request_outputs=outputs or None)


def values(response: Any) -> dict[str, list[Any]]:
    listed = {output.name: output.as_numpy().ravel().tolist() for output in response.outputs}
    return {
        name: [value.decode() if isinstance(value, bytes) else value for value in flat] for name, flat in listed.items()
    }


async def main(url: str, grpc_address: str) -> None:
    rest, grpc = InferenceRESTClient(RESTConfig(protocol="v2")), InferenceGRPCClient(grpc_address)
    found = {
        "ready": [
            await rest.is_server_live(url),
            await rest.is_server_ready(url),
            await rest.is_model_ready(url, "flights"),
            await grpc.is_server_live(),
            await grpc.is_server_ready(),
            await grpc.is_model_ready("flights"),
        ],
        "answers": [
            values(await rest.infer(url, request(binary=False), model_name="flights")),
            values(await rest.infer(url, request(binary=True), model_name="flights")),
            values(
                await rest.infer(
                    url, request(binary=True, binary_outputs=("label", "probabilities")), model_name="flights"
                )
            ),
            values(await grpc.infer(request(binary=False))),
            values(await grpc.infer(request(binary=True))),
        ],
    }
    await rest.close()
    await grpc.close()
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
