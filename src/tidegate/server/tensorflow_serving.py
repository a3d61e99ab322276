"""TensorFlow Serving's REST API over HTTP: its paths, the status of the model and its metadata.

Source: github.com/tensorflow/serving, g3doc/api_rest.md, apis/get_model_status.proto, apis/get_model_metadata.proto.

A replica serves one version of one model. Which revision is the stable one and which the candidate is the gateway's
affair, so of labels there is one, `latest`, and it means this version.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import FastAPI, Response

from tidegate.contract.errors import NotFound
from tidegate.runtime.base import Signature, TensorSpec
from tidegate.server.endpoint import InferenceEndpoint
from tidegate.server.metadata import check_model
from tidegate.server.protocols.base import Codec, Identity
from tidegate.server.protocols.tensorflow_serving import DEFAULT_SIGNATURE, ClassifyApi, PredictApi, RegressApi
from tidegate.server.replica import Phase, Replica

#: The one label there is.
LABEL = "latest"

_STATES = {Phase.LOADING: "LOADING", Phase.SERVING: "AVAILABLE", Phase.DRAINING: "UNLOADING"}
_DTYPES = {
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
}


def tensorflow_serving_endpoints(replica: Replica) -> dict[str, InferenceEndpoint]:
    """Return the endpoints of the three calls by their paths."""
    identity, signature, limits = replica.settings.identity, replica.bundle.signature, replica.settings.limits
    apis: dict[str, Codec] = {
        "predict": PredictApi(signature, identity, limits),
        "classify": ClassifyApi(signature, identity, limits),
        "regress": RegressApi(signature, identity, limits),
    }
    model = f"/v1/models/{identity.model_name}"
    bases = (model, f"{model}/versions/{identity.model_version}", f"{model}/labels/{LABEL}")
    endpoints = {method: InferenceEndpoint(replica, codec) for method, codec in apis.items()}
    return {f"{base}:{method}": endpoint for base in bases for method, endpoint in endpoints.items()}


def add_tensorflow_serving(app: FastAPI, replica: Replica) -> None:
    """Add the routes of status and metadata."""
    identity = replica.settings.identity

    def status() -> Response:
        return _json(model_status(identity, _STATES[replica.phase]))

    def metadata() -> Response:
        return _json(signature_metadata(identity, replica.bundle.signature))

    @app.get("/v1/models/{name}", tags=["TensorFlow Serving"])
    async def model_v1(name: str) -> Response:
        """Say in which state the model is: LOADING, AVAILABLE or UNLOADING."""
        check_model(identity, name)
        return status()

    @app.get("/v1/models/{name}/versions/{version}", tags=["TensorFlow Serving"])
    async def version_v1(name: str, version: str) -> Response:
        """Say in which state this version of the model is."""
        check_model(identity, name, version)
        return status()

    @app.get("/v1/models/{name}/labels/{label}", tags=["TensorFlow Serving"])
    async def label_v1(name: str, label: str) -> Response:
        """Say in which state the version is that the label means; there is one label, `latest`."""
        _check_label(identity, name, label)
        return status()

    @app.get("/v1/models/{name}/metadata", tags=["TensorFlow Serving"])
    async def model_metadata_v1(name: str) -> Response:
        """Return the model's signature in TensorFlow's form."""
        check_model(identity, name)
        return metadata()

    @app.get("/v1/models/{name}/versions/{version}/metadata", tags=["TensorFlow Serving"])
    async def version_metadata_v1(name: str, version: str) -> Response:
        """Return the signature of this version in TensorFlow's form."""
        check_model(identity, name, version)
        return metadata()

    @app.get("/v1/models/{name}/labels/{label}/metadata", tags=["TensorFlow Serving"])
    async def label_metadata_v1(name: str, label: str) -> Response:
        """Return the signature of the version that the label means, in TensorFlow's form."""
        _check_label(identity, name, label)
        return metadata()

    @app.post("/v1/models/{target:path}", include_in_schema=False)
    async def elsewhere_v1(target: str) -> Response:
        """Say what is here instead; the model that is here has hot paths of its own."""
        model, colon, method = target.rpartition(":")
        if not colon:
            raise NotFound(f"POST takes {target}:predict, :classify or :regress", subject=target)
        name, _, rest = model.partition("/")
        kind, _, value = rest.partition("/")
        if kind == "versions":
            check_model(identity, name, value)
        elif kind == "labels":
            _check_label(identity, name, value)
        else:
            check_model(identity, name)
        raise NotFound(f"there is no method {method!r}; there are predict, classify and regress", subject=target)


def _check_label(identity: Identity, name: str, label: str) -> None:
    check_model(identity, name)
    if label != LABEL:
        raise NotFound(f"there is no label {label!r} here; there is {LABEL!r} alone", subject=label, expected=LABEL)


def model_status(identity: Identity, state: str) -> dict[str, Any]:
    """Return the document of a model with one version."""
    status = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": identity.model_version, "state": state, "status": status}]}


def signature_metadata(identity: Identity, signature: Signature) -> dict[str, Any]:
    """Return the model's signature as TensorFlow Serving writes a SignatureDef; sizes are text there."""
    definition = {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": identity.model_name, "signature_name": "", "version": identity.model_version},
        "metadata": {"signature_def": {"signature_def": {DEFAULT_SIGNATURE: definition}}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    return {
        "dtype": _DTYPES[spec.datatype],
        "tensor_shape": {"dim": [{"size": str(size), "name": ""} for size in spec.shape], "unknown_rank": False},
        "name": f"{spec.name}:0",
    }


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")
