"""The published JSON Schemas of the documents, made from the models."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tidegate.contract.golden import GoldenRequests
from tidegate.contract.quantities import Quantity
from tidegate.contract.request import DeploymentRequest
from tidegate.contract.result import DeploymentResult

SchemaName = Literal["deployment-request", "deployment-result", "golden-requests"]

_MODELS: dict[SchemaName, type[BaseModel]] = {
    "deployment-request": DeploymentRequest,
    "deployment-result": DeploymentResult,
    "golden-requests": GoldenRequests,
}


class _Generator(GenerateJsonSchema):
    """Defaults as people write them, and no title that only repeats the field's name."""

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Quantity) else super().encode_default(dft)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def build_schema(name: SchemaName) -> dict[str, Any]:
    """Return the schema made from the model as it is now.

    A schema states what each field may hold by itself. What relates fields to each other (steps that rise and end with
    100, a timeout above the objective, the bounds in `x-from` and `x-to`) only `parse_request` checks.
    """
    schema = _MODELS[name].model_json_schema(schema_generator=_Generator, mode="validation")
    return {"$schema": _Generator.schema_dialect, "$id": f"urn:tidegate:{name}:1", **schema}


def shipped_schema_text(name: SchemaName) -> str:
    """Return the text of the schema file that comes with the package."""
    return files("tidegate.contract.schemas").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
