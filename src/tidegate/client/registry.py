"""The model registry as Python methods: `Client.registry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from tidegate.client.documents import Model, ModelVersion, Registered
from tidegate.client.http import Transport
from tidegate.contract.lineage import check_metrics
from tidegate.contract.models import ARCHIVED, Stage

#: To register loads the model once, to check it.
ADD_TIMEOUT_SECONDS = 300.0


class ModelRegistry:
    """The model registry of one controller.

    A version is named by its model and number, or by a reference: `models:/churn/3`, `models:/churn@champion`,
    `models:/churn/production`, `models:/churn/latest`. Methods raise what those of `Client` raise.
    """

    def __init__(self, http: Transport) -> None:
        self._http = http

    def models(self) -> list[Model]:
        """Return every model with its aliases, by name."""
        return cast("list[Model]", self._http.json("GET", "/v1/registry/models")["models"])

    def model(self, name: str, *, limit: int = 100) -> Model:
        """Return a model with its newest versions, at most `limit`, and every move of its aliases and stages."""
        return cast("Model", self._http.json("GET", _model(name), params={"limit": limit}))

    def version(self, reference: str) -> ModelVersion:
        """Return the version that a reference names now."""
        return cast("ModelVersion", self._http.json("GET", "/v1/registry/version", params={"reference": reference}))

    def add(
        self,
        name: str,
        artifact: Mapping[str, Any],
        *,
        metrics: Mapping[str, float] | None = None,
        lineage: Mapping[str, Any] | None = None,
        description: str = "",
        about: str | None = None,
        source: str | None = None,
        by: str | None = None,
    ) -> Registered:
        """Have a model checked and bundled, and register it; the same said twice of the same bundle is one version.

        Args:
            artifact: as `modelArtifact` of a request document; its path is absolute.
            metrics: finite numbers by name.
            lineage: `data` (a list of `uri` and optionally `sha256`), `code`, `parent` (as `models:/NAME/3`) and `run`.
            description: of the version.
            about: what the model is for; None leaves what was said before.
            source: where it came from; None for the artifact's path.
        """
        body = {
            "artifact": dict(artifact),
            "metrics": check_metrics(metrics or {}),
            "lineage": dict(lineage or {}),
            "description": description,
            "about": about,
            "source": source,
            "by": by,
        }
        given = {key: value for key, value in body.items() if value is not None}
        path = _model(name, "versions")
        return cast("Registered", self._http.json("POST", path, body=given, timeout_seconds=ADD_TIMEOUT_SECONDS))

    def compare(self, left: str, right: str) -> dict[str, Any]:
        """Return two versions side by side: `metrics`, `signature`, `environment`, `bundle` and `clients`."""
        return self._http.json("GET", "/v1/registry/compare", params={"left": left, "right": right})

    def move_alias(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        expected: int | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> dict[str, Any]:
        """Let an alias name a version; return `moved`, the `version`, and `warnings`.

        Args:
            expected: number of the version that it must name before, 0 for none; else Conflict is raised.
        """
        body = {"version": version, "expected": expected, "reason": reason, "by": by}
        return self._http.json("PUT", _model(name, "aliases", alias), body=_given(body))

    def remove_alias(
        self, name: str, alias: str, *, reason: str | None = None, by: str | None = None
    ) -> dict[str, Any]:
        """Take an alias away; return the move, and `warnings`."""
        return self._http.json("DELETE", _model(name, "aliases", alias), body=_given({"reason": reason, "by": by}))

    def set_stage(
        self, name: str, version: int, stage: Stage, *, reason: str | None = None, by: str | None = None
    ) -> ModelVersion:
        """Put a version in a stage: none, staging, production or archived."""
        body = _given({"stage": stage, "reason": reason, "by": by})
        path = _model(name, "versions", str(version), "stage")
        return cast("ModelVersion", self._http.json("PUT", path, body=body))

    def archive(self, name: str, version: int, *, reason: str | None = None, by: str | None = None) -> ModelVersion:
        """Put a version out of use; Conflict while it is deployed, or named by an alias."""
        return self.set_stage(name, version, ARCHIVED, reason=reason, by=by)


def _model(name: str, *parts: str) -> str:
    return "/".join(["/v1/registry/models", quote(name, safe=""), *(quote(part, safe="") for part in parts)])


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}
