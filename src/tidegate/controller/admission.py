"""Whether a deployment may begin: all that is asked of a request and its artifact before anything changes.

`deploy` is refused by the first thing that is wrong; a dry run goes on and tells of all of them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path, PurePath

from tidegate.artifact.build import BuildRequest, BundleInfo, build_bundle
from tidegate.artifact.bundle import read_bundle
from tidegate.contract.errors import BreakingChange, Conflict, InvalidInput, NotFound, TidegateError
from tidegate.contract.golden import GoldenRequests
from tidegate.contract.request import DeploymentRequest, ModelArtifact
from tidegate.contract.serving import PersonalFields
from tidegate.controller import planning
from tidegate.gate.compatibility import Comparison, compare
from tidegate.gate.golden import refuse_impossible
from tidegate.gate.kept import keep, read_golden
from tidegate.runtime.base import ArtifactFiles, Signature
from tidegate.runtime.settings_file import settings_of
from tidegate.runtime.signatures import signature_from_dict
from tidegate.store import RevisionRow
from tidegate.target.process import CACHE_URL_VARIABLE, KEY_VARIABLE, SERVING_STORE_VARIABLE

#: Entry points of what takes logged predictions.
SINKS = "tidegate.prediction_sinks"


@dataclass(frozen=True)
class GoldenFile:
    """Golden requests with the bytes that they were read from, and the suffix of their file."""

    golden: GoldenRequests
    content: bytes
    suffix: str


@dataclass
class Refusals:
    """What speaks against a deployment: raised at once, or with `collect` kept and gone on from."""

    collect: bool = False
    found: list[TidegateError] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        try:
            yield
        except TidegateError as refused:
            if not self.collect:
                raise
            self.found.append(refused)


def refuse_at_first_sight(request: DeploymentRequest, refusals: Refusals) -> None:
    """Check what the document alone tells, before anything is read or loaded.

    Raises:
        InvalidInput: this version, or this controller's environment, cannot do what is asked for.
    """
    with refusals.noted():
        planning.refuse_unsupported(request)
    with refusals.noted():
        planning.refuse_what_containers_cannot(request, os.environ, os.environ.get(SERVING_STORE_VARIABLE, ""))
    with refusals.noted():
        planning.refuse_unreachable_cache(
            request, os.environ.get(CACHE_URL_VARIABLE), has_client=find_spec("redis") is not None
        )
    with refusals.noted():
        refuse_unknown_sink(request.prediction_log.sink)
    with refusals.noted():
        refuse_no_key(request.prediction_log.personal, os.environ)
    with refusals.noted():
        artifacts = [request.model_artifact, *(arm.model_artifact for arm in request.ab_test.arms)]
        refuse_relative(*(path for one in artifacts if not one.is_registered for path in (one.path, one.sample)))
        known = request.gates.vulnerabilities
        database = known.database if known is not None else None
        refuse_relative(request.gates.golden, database, request.prediction_log.path)
        refuse_relative(request.prediction_log.personal.key_file)
        refuse_relative(request.drift.reference if request.drift is not None else None)
    with refusals.noted():
        refuse_relative(*(one.url_from_file for one in (*request.notifications, *request.hooks)))
        refuse_relative(*(metric.python.path for metric in request.analysis.metrics if metric.python is not None))


@dataclass(frozen=True)
class Admitted:
    """A candidate that may be tried: its request, its bundle, and its golden requests if it has any."""

    request: DeploymentRequest
    info: BundleInfo
    comparison: Comparison
    golden: GoldenFile | None


async def admit(
    request: DeploymentRequest,
    stable: RevisionRow | None,
    bundles: Path,
    folder: Path,
    refusals: Refusals,
    *,
    kept: Path | None = None,
) -> Admitted | None:
    """Make every check that one candidate alone has to pass.

    Args:
        bundles: where that of `stable` lies.
        folder: where that of the candidate is made.
        kept: the candidate's bundle where it is there already, that of a version in the model registry.

    Returns:
        None when its artifact was refused and refusals are collected.

    Raises:
        InvalidInput, NotTrusted, BreakingChange: the artifact is not right.
    """
    info = None
    with refusals.noted():
        info = await bundled(request.model_artifact, folder, kept)
    if info is None:
        return None
    if info.manifest.signature["kind"] == "opaque":
        with refusals.noted():
            refuse_for_a_command(request, info)
    comparison, golden = compared(stable, bundles, info), None
    with refusals.noted():
        refuse_breaking(comparison, stable, allowed=request.gates.allow_breaking)
    with refusals.noted():
        refuse_unknown_fields(request.prediction_log.personal, signature_from_dict(info.manifest.signature))
    with refusals.noted():
        golden = await golden_of(request, info)
    return Admitted(request, info, comparison, golden)


def has_nothing_to_do(stable: RevisionRow | None, admitted: Sequence[Admitted]) -> bool:
    """Say whether the one candidate is what serves; arms of an A/B test are compared even where they are alike."""
    first = admitted[0]
    return not first.request.ab_test.arms and serves_already(stable, first.info.digest, first.request)


def refuse_no_champion(request: DeploymentRequest, stable: RevisionRow | None) -> None:
    """Raise Conflict for arms where nothing serves that they could be compared with."""
    if stable is None:
        raise Conflict(
            f"an A/B test with arms needs a champion, and nothing serves as {request.name!r} yet",
            subject="abTest.arms",
            expected="a revision that serves",
            hint=f"deploy {request.model_artifact.path} without arms first",
        )


def refuse_other_champion(request: DeploymentRequest, stable: RevisionRow | None, champion: BundleInfo) -> None:
    """Raise Conflict unless the model artifact of an A/B test with arms is what serves."""
    refuse_no_champion(request, stable)
    if stable is not None and stable.digest != champion.digest:
        raise Conflict(
            f"the champion of this A/B test is not what serves as {request.name!r}",
            subject="modelArtifact",
            expected=f"the model of revision {stable.number}, {stable.request['modelArtifact']['path']} "
            f"(bundle {stable.digest[:19]}…)",
            got=f"{request.model_artifact.path} (bundle {champion.digest[:19]}…)",
            hint="say of the same file what was said when it was deployed (its sample, its settings), deploy it first, "
            "or name it as an arm",
        )


async def bundled(artifact: ModelArtifact, bundles: Path, kept: Path | None = None) -> BundleInfo:
    """Check the artifact and bundle it below `bundles`; raises what `build_bundle` raises.

    A path that is one of the bundles there, and one that is `kept`, was checked, and trusted where it had to be, when
    it was made.
    """
    if kept is None and Path(artifact.path).parent == bundles:
        kept = Path(artifact.path)
    if kept is not None:
        try:
            bundle = await asyncio.to_thread(read_bundle, kept)
        except NotFound as error:
            raise Conflict(
                f"the bundle of {artifact.path} is no longer there",
                subject=str(kept),
                hint="make the model a bundle again, from its file",
            ) from error
        return BundleInfo(bundle.folder.name, bundle.folder, bundle.manifest, [])
    return await build_bundle(
        BuildRequest(
            path=Path(artifact.path),
            framework=artifact.framework,
            version=artifact.version,
            trust=artifact.trust,
            sample_path=Path(artifact.sample) if artifact.sample is not None else None,
            settings=artifact.settings,
        ),
        bundles,
    )


def refuse_for_a_command(request: DeploymentRequest, info: BundleInfo) -> None:
    """Raise InvalidInput for what a server that is started by a command cannot do."""
    planning.refuse_what_a_command_ignores(request)
    artifact = ArtifactFiles(read_bundle(info.folder).artifact_path)
    if info.manifest.runtime == "command":
        port = int(settings_of(artifact, info.manifest.settings).get("port", 0))
        planning.refuse_one_port_for_several(request, port)


def compared(stable: RevisionRow | None, bundles: Path, candidate: BundleInfo) -> Comparison:
    """Compare the candidate's signature with that of stable, whose bundle lies below `bundles`.

    Without a stable revision there is no client, and so no difference.
    """
    if stable is None:
        return Comparison()
    try:
        before = read_bundle(bundles / stable.digest).signature
    except TidegateError as error:
        return Comparison(unknown=f"the signature of revision {stable.number} cannot be read: {error.message}")
    return compare(before, signature_from_dict(candidate.manifest.signature))


def refuse_breaking(comparison: Comparison, stable: RevisionRow | None, *, allowed: bool) -> None:
    """Raise BreakingChange, which names each breaking difference, unless it is `allowed`."""
    if stable is None or allowed or not comparison.breaking:
        return
    count = len(comparison.breaking)
    what = f"{count} differences break clients" if count > 1 else "one difference breaks clients"
    lines = [f"the candidate does not take and give what revision {stable.number} does; {what}:"]
    raise BreakingChange(
        "\n".join([*lines, *(f"  {difference}" for difference in comparison.breaking)]),
        subject="gates.allowBreaking",
        hint="Serve it under another name (--name), so that clients can move over one by one; or, when all of them "
        "know, say --allow-breaking.",
    )


def told_of(comparison: Comparison) -> tuple[str, ...]:
    """Return the warnings for what a comparison found and did not refuse; breaking differences are allowed by then."""
    unknown = [] if comparison.unknown is None else [f"clients may break, or not: {comparison.unknown}"]
    breaking = [f"breaking, and allowed: {difference}" for difference in comparison.breaking]
    return (*unknown, *breaking, *map(str, comparison.harmless))


def refuse_second_rollout(name: str, *, is_active: bool) -> None:
    """Raise Conflict while a rollout of this name is under way."""
    if is_active:
        raise Conflict(
            f"a rollout of {name!r} is under way",
            subject=name,
            hint=f"wait for it (`tidegate watch {name}`), or end it (`tidegate abort {name}`)",
        )


def serves_already(stable: RevisionRow | None, digest: str, request: DeploymentRequest) -> bool:
    """Say whether a revision of this bundle would serve just as stable does: how it is tried does not matter."""
    if stable is None or stable.digest != digest:
        return False
    serving = planning.request_of(stable)
    return (
        serving.serving_requirements == request.serving_requirements
        and serving.infrastructure == request.infrastructure
        and serving.traffic == request.traffic
        and serving.batching == request.batching
        and serving.cache == request.cache
        and serving.prediction_log == request.prediction_log
        and serving.drift == request.drift
        and serving.health_checks.every() == request.health_checks.every()
        and serving.model_artifact.version == request.model_artifact.version
        and serving.registry == request.registry
        and _registered(serving) == _registered(request)
    )


def _registered(request: DeploymentRequest) -> str | None:
    """Return which version a revision is; None for a file, wherever that lies."""
    return request.model_artifact.path if request.model_artifact.is_registered else None


async def golden_of(request: DeploymentRequest, candidate: BundleInfo) -> GoldenFile | None:
    """Read the golden requests that a request names; None when it names none.

    Raises:
        InvalidInput: they cannot be read, or expect what the candidate cannot give.
    """
    if request.gates.golden is None:
        return None
    path = Path(request.gates.golden)
    golden, content = await asyncio.to_thread(read_golden, path)
    refuse_impossible(golden, signature_from_dict(candidate.manifest.signature))
    return GoldenFile(golden, content, path.suffix.lower())


def with_kept_golden(request: DeploymentRequest, golden: GoldenFile | None, folder: Path) -> DeploymentRequest:
    """Return the request as the revision keeps it: its golden requests are a copy below `folder` that never changes."""
    if golden is None:
        return request
    kept = keep(golden.content, golden.suffix, folder)
    return request.model_copy(update={"gates": request.gates.model_copy(update={"golden": str(kept)})})


def refuse_unknown_sink(sink: str | None) -> None:
    """Replicas find sinks by their entry points, in the environment that the controller has, too."""
    known = sorted(point.name for point in entry_points(group=SINKS))
    if sink is not None and sink.partition(":")[0] not in known:
        raise InvalidInput(
            "predictionLog.sink: there is no such sink",
            subject="predictionLog.sink",
            expected=f"one of {', '.join(known)}, as NAME:ARGUMENT",
            got=sink.partition(":")[0],
        )


def refuse_no_key(personal: PersonalFields, environment: Mapping[str, str]) -> None:
    """Raise InvalidInput when fields are to be hashed and replicas would find no key; what is in it, they check."""
    if not personal.hash:
        return
    file = personal.key_file
    if file is None and not environment.get(KEY_VARIABLE):
        raise InvalidInput(
            f"predictionLog.personal.hash: there is no keyFile, and the controller has no {KEY_VARIABLE}",
            subject="predictionLog.personal.hash",
            expected="a key of at least 16 bytes",
            hint="openssl rand -hex 32 > log.key, and predictionLog.personal.keyFile: log.key",
        )
    if file is not None and not os.access(file, os.R_OK):
        raise InvalidInput(
            f"predictionLog.personal.keyFile: {file} cannot be read",
            subject="predictionLog.personal.keyFile",
            expected="a file with a key of at least 16 bytes",
            hint=f"openssl rand -hex 32 > {file}",
        )


def refuse_unknown_fields(personal: PersonalFields, signature: Signature) -> None:
    """Raise InvalidInput for a name that the model does not have: what it means would be written down."""
    known = {spec.name for spec in (*signature.inputs, *signature.outputs)}
    unknown = sorted({*personal.drop, *personal.hash} - known)
    if unknown:
        raise InvalidInput(
            f"predictionLog.personal: the model has no input or output {', '.join(unknown)}",
            subject="predictionLog.personal",
            expected=f"names among {', '.join(sorted(known))}",
            got=", ".join(unknown),
        )


def refuse_relative(*paths: str | None) -> None:
    """The controller's own folder means nothing to a caller."""
    for path in paths:
        if path is not None and not PurePath(path).is_absolute():
            raise InvalidInput(
                f"{path}: the controller takes absolute paths only",
                subject=path,
                expected="an absolute path",
                got=path,
                hint="the command line makes paths absolute by itself",
            )
