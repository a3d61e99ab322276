"""Models and their versions as the API shows them, and two versions side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidegate.contract.models import SCHEME
from tidegate.gate import compatibility
from tidegate.runtime.signatures import signature_from_dict
from tidegate.store import AliasMove, Deployed, ModelRow, StageChange, VersionRow


def model_view(model: ModelRow) -> dict[str, Any]:
    """Return a model at a glance. `latest` is the number of its newest version."""
    return {
        "name": model.name,
        "description": model.description,
        "latest": model.versions,
        "aliases": dict(model.aliases),
        "created_at": model.created_at.isoformat(),
        "created_by": model.created_by,
    }


def whole_model(
    model: ModelRow, versions: Sequence[VersionRow], moves: Sequence[AliasMove], changes: Sequence[StageChange]
) -> dict[str, Any]:
    """Return a model with its newest versions, newest first, and what became of them, oldest first."""
    return {
        **model_view(model),
        "versions": [version_view(version) for version in versions],
        "alias_moves": [move_view(move) for move in moves],
        "stage_changes": [{**asdict(change), "at": change.at.isoformat()} for change in changes],
    }


def version_view(version: VersionRow) -> dict[str, Any]:
    """Return a version; of one from a list without what its bundle says."""
    return {
        "model": version.model,
        "version": version.number,
        "reference": f"{SCHEME}{version.model}/{version.number}",
        "digest": version.digest,
        "framework": version.framework,
        "source": version.source,
        "description": version.description,
        "stage": version.stage,
        "aliases": list(version.aliases),
        "deployed": [_deployed(one) for one in version.deployed],
        "metrics": dict(version.metrics),
        "lineage": version.lineage.as_document(),
        "created_at": version.created_at.isoformat(),
        "created_by": version.created_by,
        **version.details,
    }


def move_view(move: AliasMove) -> dict[str, Any]:
    """Return a move of an alias; `before` is None where there was none, `version` where it was taken away."""
    return {
        "model": move.model,
        "alias": move.alias,
        "before": move.before,
        "version": move.number,
        "at": move.at.isoformat(),
        "by": move.by,
        "reason": move.reason,
        "rollout": str(move.rollout) if move.rollout is not None else None,
    }


def compared(left: VersionRow, right: VersionRow) -> dict[str, Any]:
    """Return two versions side by side.

    Keys: `left`, `right`; `metrics`, `signature`, `environment` and `bundle`, each a list of rows with `name`, `left`,
    `right` (None where there is none) and `differs`, a metric with `change` (right less left) as well; `clients`: what
    clients of the left one would meet in the right one, as the gate of a rollout says it.
    """
    return {
        "left": version_view(left),
        "right": version_view(right),
        "metrics": list(_metrics(left.metrics, right.metrics)),
        "signature": list(_rows(_signature(left), _signature(right))),
        "environment": list(_rows(_environment(left), _environment(right))),
        "bundle": list(_rows(_bundle(left), _bundle(right))),
        "clients": _clients(left, right),
    }


def _deployed(one: Deployed) -> dict[str, Any]:
    return asdict(one)


def _rows(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each name, those of the left one first and in their order."""
    for name in dict.fromkeys((*left, *right)):
        before, after = left.get(name), right.get(name)
        yield {"name": name, "left": before, "right": after, "differs": before != after}


def _metrics(left: Mapping[str, float], right: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    for row in _rows(dict(sorted(left.items())), dict(sorted(right.items()))):
        is_both = row["left"] is not None and row["right"] is not None
        yield {**row, "change": row["right"] - row["left"] if is_both else None}


def _signature(version: VersionRow) -> dict[str, str]:
    """Return what the model takes and gives, each by its name in words."""
    signature = version.details.get("signature") or {}
    sides = (("input", "inputs"), ("output", "outputs"))
    return {f"{side} {spec['name']}": _spec(spec) for side, key in sides for spec in signature.get(key, [])}


def _spec(spec: Mapping[str, Any]) -> str:
    words = str(spec["datatype"])
    if list(spec["shape"]) != [-1]:
        words += f" {list(spec['shape'])}"
    for name in ("categories", "labels"):
        if spec.get(name) is not None:
            words += f", {len(spec[name])} {name}"
    return words


def _environment(version: VersionRow) -> dict[str, str]:
    environment = version.details.get("environment") or {}
    packages: Mapping[str, str] = environment.get("packages") or {}
    return {"python": environment.get("python", ""), **dict(sorted(packages.items()))}


def _bundle(version: VersionRow) -> dict[str, Any]:
    names = ("format", "framework_version", "trusted", "size_bytes", "memory_bytes", "settings")
    told = {name: version.details.get(name) for name in names}
    return {"digest": version.digest, "framework": version.framework, **told}


def _clients(left: VersionRow, right: VersionRow) -> dict[str, Any]:
    before, after = (signature_from_dict(one.details["signature"]) for one in (left, right))
    found = compatibility.compare(before, after)
    return {
        "breaking": [str(difference) for difference in found.breaking],
        "harmless": [str(difference) for difference in found.harmless],
        "unknown": found.unknown,
    }
