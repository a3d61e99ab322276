"""What the Open Inference Protocol tells about server and model, the same over REST and gRPC.

Source: github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from typing import Any

from tidegate import __version__
from tidegate.artifact.bundle import Bundle
from tidegate.contract.errors import NotFound
from tidegate.runtime.base import TensorSpec
from tidegate.server.protocols.base import Identity

#: By the names that Triton gave them; clients look here for what they may ask.
EXTENSIONS = ("binary_tensor_data", "model_repository")

#: Where the project behind a runtime has another name than the runtime.
_PROJECTS = {"onnx": "onnxruntime"}


def server_metadata() -> dict[str, Any]:
    """Return name, version and extensions of the server."""
    return {"name": "tidegate", "version": __version__, "extensions": list(EXTENSIONS)}


def model_metadata(identity: Identity, bundle: Bundle) -> dict[str, Any]:
    """Return the model's inputs and outputs, and whence it comes."""
    manifest, signature = bundle.manifest, bundle.signature
    return {
        "name": identity.model_name,
        "versions": [identity.model_version],
        "platform": platform_of(manifest.runtime, manifest.format),
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "parameters": {
            "deployment": identity.deployment,
            "revision": identity.revision,
            "digest": manifest.digest,
            "framework_version": manifest.framework_version,
        },
    }


def platform_of(runtime: str, model_format: str) -> str:
    """Return `<project>_<format>`, as the protocol has it: "xgboost_json", "onnxruntime_onnx", "sklearn_skops"."""
    return f"{_PROJECTS.get(runtime, runtime)}_{model_format.removeprefix(f'{runtime}-').replace('-', '_')}"


def check_model(identity: Identity, name: str, version: str | None = None) -> None:
    """Raise NotFound unless this is the model that is served; without a version, any will do."""
    if name != identity.model_name or version not in (None, identity.model_version):
        raise not_here(identity, name, version)


def not_here(identity: Identity, name: str, version: str | None) -> NotFound:
    """Return the error for another model, or another version of it."""
    asked = repr(name) if version is None else f"{name!r}, version {version!r},"
    return NotFound(
        f"there is no model {asked} here; this replica serves {identity.model_name!r}, version "
        f"{identity.model_version!r}",
        subject=name,
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    known = {"categories": spec.categories, "labels": spec.labels}
    parameters = {key: list(values) for key, values in known.items() if values is not None}
    tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
    return {**tensor, "parameters": parameters} if parameters else tensor
