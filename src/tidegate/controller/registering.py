"""The model registry as deployments use it: a version is registered with its bundle, and a reference leads to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.artifact.bundle import Manifest, read_bundle
from tidegate.contract.errors import InvalidInput, NotFound, TidegateError
from tidegate.contract.lineage import Lineage, check_metrics
from tidegate.contract.models import ARCHIVED, SCHEME, check_model_name, check_new_alias, parse_reference
from tidegate.contract.request import DeploymentRequest, ModelArtifact
from tidegate.controller import admission
from tidegate.controller.home import Home
from tidegate.store import NewVersion, Registry, VersionLink, VersionRow
from tidegate.store.registry import archived


@dataclass(frozen=True)
class Registration:
    """A version that somebody wants to register.

    Attributes:
        source: where it came from, for people; None: the artifact's path.
        about: what the model is for; None leaves what was said before.
    """

    model: str
    artifact: ModelArtifact
    source: str | None = None
    description: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
    about: str | None = None


@dataclass(frozen=True)
class Registered:
    """A version, whether it is new, and what should be known of its artifact."""

    version: VersionRow
    created: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Chosen:
    """The version that a reference led to.

    `asked` is the alias or stage that led there; None for a number.
    """

    version: VersionRow
    asked: str | None


#: By the path `models:/NAME/VERSION` that stands in the request.
Choices = Mapping[str, Chosen]


async def register(home: Home, registry: Registry, asked: Registration, *, by: str) -> Registered:
    """Check and bundle an artifact, and register it; nothing is registered when this raises.

    Raises:
        InvalidInput, NotTrusted: the name, a metric, the lineage or the artifact is not right.
        NotFound: the parent is not registered.
    """
    check_model_name(asked.model)
    metrics = check_metrics(asked.metrics)
    if asked.artifact.is_registered:
        raise InvalidInput(
            f"{asked.artifact.path} is registered already",
            subject="modelArtifact.path",
            expected="a file or a folder",
            got=asked.artifact.path,
        )
    admission.refuse_relative(asked.artifact.path, asked.artifact.sample)
    if asked.lineage.parent is not None:  # before the model is loaded; the store says it again
        registry.version(parse_reference(asked.lineage.parent))
    info = await admission.bundled(asked.artifact, home.bundles)
    new = NewVersion(
        digest=info.digest,
        framework=info.manifest.runtime,
        source=asked.source or asked.artifact.path,
        details=details_of(info.manifest),
        description=asked.description,
        metrics=metrics,
        lineage=asked.lineage,
    )
    version, created = registry.add(asked.model, new, by=by, now=datetime.now(UTC), about=asked.about)
    return Registered(version, created, tuple(info.warnings))


def details_of(manifest: Manifest) -> dict[str, Any]:
    """Return what the registry keeps of a bundle, to show and to compare."""
    return {
        "format": manifest.format,
        "framework_version": manifest.framework_version,
        "trusted": manifest.trusted,
        "size_bytes": manifest.created_from.size_bytes,
        "memory_bytes": manifest.memory_bytes,
        "cpu_seconds": manifest.cpu_seconds,
        "settings": manifest.settings,
        "signature": manifest.signature,
        "environment": manifest.environment.model_dump(),
    }


def pinned(request: DeploymentRequest, registry: Registry | None) -> tuple[DeploymentRequest, Choices]:
    """Return the request with each reference as `models:/NAME/VERSION`, and what these are: what an alias names may
    change while a model is tried.

    Args:
        registry: None where nothing was ever registered.

    Raises:
        InvalidInput: the request's alias would be a new one that there may not be.
        NotFound: a reference leads nowhere.
        Conflict: it leads to an archived version, or the request's alias follows another deployment.
    """
    choices: dict[str, Chosen] = {}

    def of(artifact: ModelArtifact) -> ModelArtifact:
        if not artifact.is_registered:
            return artifact
        chosen = _chosen(artifact.path, registry)
        path = f"{SCHEME}{chosen.version.model}/{chosen.version.number}"
        choices[path] = chosen
        return artifact.model_copy(update={"path": path})

    arms = tuple(arm.model_copy(update={"model_artifact": of(arm.model_artifact)}) for arm in request.ab_test.arms)
    changed = request.model_copy(
        update={
            "model_artifact": of(request.model_artifact),
            "ab_test": request.ab_test.model_copy(update={"arms": arms}),
        }
    )
    if registry is not None and changed.registry.alias is not None:
        for one in changed.candidates:
            model = choices[one.model_artifact.path].version.model
            registry.refuse_second_follower(request.name, model, changed.registry.alias)
            if changed.registry.alias not in registry.model(model).aliases:
                check_new_alias(changed.registry.alias)
    return changed, choices


def kept(artifact: ModelArtifact, choices: Choices, bundles: Path) -> Path | None:
    """Return the bundle of the version that an artifact is; None for a file."""
    chosen = choices.get(artifact.path)
    return None if chosen is None else bundles / chosen.version.digest


def located(artifact: ModelArtifact, registry: Registry | None, bundles: Path) -> ModelArtifact:
    """Return the artifact with the file and settings of its version's bundle, where it is one that can be read."""
    if not artifact.is_registered or registry is None:
        return artifact
    try:
        bundle = read_bundle(bundles / registry.version(parse_reference(artifact.path)).digest)
    except TidegateError:
        return artifact
    told = {"path": str(bundle.artifact_path), "framework": bundle.manifest.runtime}
    return artifact.model_copy(update={**told, "settings": bundle.manifest.settings})


def link_of(request: DeploymentRequest, choices: Choices, *, by: str) -> VersionLink | None:
    """Return which version a candidate is; None for a file."""
    chosen = choices.get(request.model_artifact.path)
    if chosen is None:
        return None
    version = chosen.version
    return VersionLink(version.model, version.number, chosen.asked, request.registry.alias, by)


def _chosen(text: str, registry: Registry | None) -> Chosen:
    reference = parse_reference(text)
    if registry is None:
        raise NotFound(
            f"there is no model {reference.model!r}",
            subject=text,
            hint=f"register one: tidegate registry add '{reference.model}' MODEL",
        )
    version = registry.version(reference)
    if version.stage == ARCHIVED:
        raise archived(version.model, version.number)
    return Chosen(version, reference.asked)
