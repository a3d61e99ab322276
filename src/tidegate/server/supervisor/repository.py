"""The model repository extension over HTTP: index, load and unload, as Triton has them.

Source: docs/protocol/extension_model_repository.md of github.com/triton-inference-server/server. Clients name a model
and a version; `parameters` that would bring a model or its configuration along are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tidegate.contract.errors import Conflict, InvalidInput, NotFound, TidegateError, Unavailable
from tidegate.server.supervisor.sources import Offer, Repository

_STATUSES: tuple[tuple[type[TidegateError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (Conflict, 409),
    (Unavailable, 503),
)
_FORBIDDEN = 403
#: Triton's clients send it with every unload; there are no dependents here.
_IGNORED = {"unload_dependents"}


class Swaps(Protocol):
    """What the supervisor does at a client's wish."""

    async def load(self, version: str | None) -> None: ...

    async def unload(self) -> None: ...

    def state_of(self, model: str, offer: Offer) -> tuple[str, str]:
        """Return state and reason of a version, in Triton's words."""
        ...


def status_of(error: TidegateError) -> int:
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


class RepositoryRequests:
    """Carries out requests of the extension; `repository` is None where there is only one model."""

    def __init__(self, swaps: Swaps, repository: Repository | None) -> None:
        self._swaps = swaps
        self._repository = repository

    async def answer(self, action: str, model: str | None, document: Any) -> tuple[int, Any]:
        """Return status and document for "index", "load" or "unload"."""
        try:
            if self._repository is None:
                return _FORBIDDEN, {
                    "error": "models cannot be loaded or unloaded here: the server was not started with --repository"
                }
            if document is None:
                document = {}
            if not isinstance(document, dict):
                raise InvalidInput("the body must be a JSON object", got=type(document).__name__)
            if action == "index":
                return 200, self._index(self._repository, only_ready=document.get("ready") is True)
            parameters = document.get("parameters") or {}
            if not isinstance(parameters, dict):
                raise InvalidInput('"parameters" must be an object', subject="parameters")
            self._check_model(self._repository, model)
            if action == "load":
                await self._swaps.load(_version(parameters))
            else:
                _refuse_others(parameters, set())
                await self._swaps.unload()
        except TidegateError as error:
            hint = "" if error.hint is None else f" ({error.hint})"
            return status_of(error), {"error": error.message + hint}
        return 200, {}

    def _check_model(self, repository: Repository, model: str | None) -> None:
        if model != repository.model:
            raise NotFound(
                f"this replica serves {repository.model!r}, not {str(model)[:128]!r}",
                hint="start another replica for another model",
            )

    def _index(self, repository: Repository, *, only_ready: bool) -> list[dict[str, str]]:
        entries = []
        for model in repository.models():
            for offer in repository.versions(model):
                state, reason = self._swaps.state_of(model, offer)
                if state == "READY" or not only_ready:
                    entries.append({"name": model, "version": offer.version, "state": state, "reason": reason})
        return entries


def _version(parameters: Mapping[str, Any]) -> str | None:
    _refuse_others(parameters, {"version"})
    version = parameters.get("version")
    if version is None:
        return None
    if not isinstance(version, str | int) or isinstance(version, bool) or not str(version).isdecimal():
        raise InvalidInput(
            'the parameter "version" must be the number of a version', subject="version", expected="3", got=str(version)
        )
    return str(version)


def _refuse_others(parameters: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(parameters) - known - _IGNORED)
    if unknown:
        raise InvalidInput(
            f"the parameter {unknown[0][:64]!r} is not taken: models come from the repository alone",
            subject=unknown[0][:64],
            expected=", ".join(sorted(known)) or "no parameters",
        )
