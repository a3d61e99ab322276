"""The methods of the model repository extension: index, load, unload.

Source: docs/protocol/extension_model_repository.md of github.com/triton-inference-server/server. The names of
repositories are left out of account: there is one at most.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tidegate.contract.errors import TidegateError
from tidegate.server.grpc import messages
from tidegate.server.grpc.calls import Context, Method, parsed, refuse
from tidegate.server.grpc.statuses import code_of_status, shortened

#: Does "index", "load" or "unload" of a model as the document wishes; returns status and document as REST has them.
CarryOut = Callable[[str, str | None, dict[str, Any]], Awaitable[tuple[int, Any]]]


class RepositoryMethods:
    """The methods, by their names in the inference service."""

    def __init__(self, carry_out: CarryOut) -> None:
        self._carry = carry_out

    def methods(self) -> dict[str, Method]:
        """Return the methods from bytes to bytes."""
        return {
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }

    async def _index(self, body: bytes, context: Context) -> bytes:
        request = await parsed(messages.RepositoryIndexRequest, body, context)
        models = await self._carry_out("index", None, {"ready": request.ready}, context)
        answer: bytes = messages.RepositoryIndexResponse(models=models).SerializeToString()
        return answer

    async def _load(self, body: bytes, context: Context) -> bytes:
        request = await parsed(messages.RepositoryModelLoadRequest, body, context)
        await self._carry_out("load", request.model_name, _wish(request), context)
        answer: bytes = messages.RepositoryModelLoadResponse().SerializeToString()
        return answer

    async def _unload(self, body: bytes, context: Context) -> bytes:
        request = await parsed(messages.RepositoryModelUnloadRequest, body, context)
        await self._carry_out("unload", request.model_name, _wish(request), context)
        answer: bytes = messages.RepositoryModelUnloadResponse().SerializeToString()
        return answer

    async def _carry_out(self, action: str, name: str | None, wish: dict[str, Any], context: Context) -> Any:
        try:
            status, document = await self._carry(action, name, wish)
        except TidegateError as error:
            await refuse(error, context)
        if status != 200:
            await context.abort(code_of_status(status), shortened(document["error"]))
        return document


def _wish(request: Any) -> dict[str, Any]:
    """Return the parameters of a request as the document that REST has."""
    parameters = {}
    for name, parameter in request.parameters.items():
        value = getattr(parameter, parameter.WhichOneof("parameter_choice") or "string_param")
        parameters[name] = value.decode(errors="replace") if isinstance(value, bytes) else value
    return {"parameters": parameters}
