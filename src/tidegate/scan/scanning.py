"""A scan from paths to a report: files read, rules applied, hadolint asked meanwhile, ignores honoured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.dockerfile.model import Dockerfile, read_dockerfile
from tidegate.scan import doubts, files, hadolint, ignores
from tidegate.scan.compose.services import Built, ComposeFile, read_compose
from tidegate.scan.compose.values import Unreadable
from tidegate.scan.ignores import Ignore
from tidegate.scan.records import Finding, HadolintRun, Hit, Ignored, Report
from tidegate.scan.rules.catalogue import COVERED, IDS, RULES, SYNTAX, hits_in_compose, hits_in_dockerfile


class WithHadolint(StrEnum):
    """Whether hadolint's rules are applied."""

    AUTO = "auto"
    REQUIRE = "require"
    OFF = "off"


@dataclass
class _Scanned:
    """One file, on its way into the report."""

    findings: list[Finding] = field(default_factory=list)
    ignores: list[Ignore] = field(default_factory=list)
    is_read: bool = True
    dockerfile: Dockerfile | None = None


def scan(paths: Sequence[Path], *, with_hadolint: WithHadolint = WithHadolint.AUTO) -> Report:
    """Scan files and folders.

    Raises:
        InvalidInput: a path does not exist, may not be read, or holds nothing to scan.
        Unavailable: hadolint is required, and its rules could not be applied.
    """
    found = files.find(paths)
    dockerfiles = [path for path, kind in found.items() if kind is files.Kind.DOCKERFILE]
    with ExitStack() as stack:
        run, outcome = _started(stack, dockerfiles, with_hadolint)
        scanned = {path.as_posix(): _scan_file(path, kind) for path, kind in found.items()}
        if run is not None:
            outcome = _with_hadolints(run, scanned)
    if with_hadolint is WithHadolint.REQUIRE and dockerfiles and not outcome.ran:
        raise Unavailable(f"hadolint's rules could not be applied: {outcome.why}", subject="hadolint")
    kept, ignored = _sifted(scanned, foreign=outcome.ran)
    return Report(
        files=tuple(scanned),
        findings=tuple(sorted(kept, key=lambda one: (one.path, one.line, one.rule, one.message))),
        ignored=tuple(sorted(ignored, key=lambda one: (one.finding.path, one.finding.line, one.finding.rule))),
        hadolint=outcome,
        rules=RULES,
    )


def _started(
    stack: ExitStack, dockerfiles: list[Path], wanted: WithHadolint
) -> tuple[hadolint.Run | None, HadolintRun]:
    if wanted is WithHadolint.OFF:
        return None, HadolintRun(None, "it was switched off")
    if not dockerfiles:
        return None, HadolintRun(None, "there is no Dockerfile among the files")
    try:
        return stack.enter_context(hadolint.running(hadolint.find(), dockerfiles)), HadolintRun(None)
    except hadolint.Failed as wrong:
        return None, HadolintRun(None, str(wrong))


def _with_hadolints(run: hadolint.Run, scanned: dict[str, _Scanned]) -> HadolintRun:
    """Add what hadolint found and Tidegate does not say itself."""
    try:
        version, findings = run.version(), run.findings()
    except hadolint.Failed as wrong:
        return HadolintRun(None, str(wrong))
    unread: list[tuple[str, str]] = []
    for finding in findings:
        file = scanned[finding.path]
        if finding.rule == hadolint.UNREADABLE:
            # Of a file that is wrong Tidegate says so itself.
            if file.is_read:
                unread.append((finding.path, f"line {finding.line}: {finding.message}"))
        elif finding.rule in COVERED or finding.rule in hadolint.LEFT_OUT:
            continue
        elif file.dockerfile is None or doubts.holds(finding, file.dockerfile):
            file.findings.append(finding)
    return HadolintRun(version, unread=tuple(unread))


def _scan_file(path: Path, kind: files.Kind) -> _Scanned:
    name = path.as_posix()
    try:
        text = files.read(path)
        if kind is files.Kind.DOCKERFILE:
            dockerfile = read_dockerfile(text)
            found = _findings(name, hits_in_dockerfile(dockerfile))
            return _Scanned(
                found, ignores.in_dockerfile(dockerfile), is_read=not dockerfile.problems, dockerfile=dockerfile
            )
        compose = _with_builds(read_compose(text), path.parent)
        return _Scanned(_findings(name, hits_in_compose(compose)), ignores.in_lines(text))
    except files.Unfit as wrong:
        return _Scanned(_findings(name, [Hit(SYNTAX, 1, str(wrong))]), is_read=False)
    except Unreadable as wrong:
        return _Scanned(_findings(name, [Hit(SYNTAX, wrong.line, wrong.message)]), is_read=False)


def _with_builds(compose: ComposeFile, folder: Path) -> ComposeFile:
    """Return the file with the Dockerfiles that its services are built from, as far as they can be read."""
    builds: dict[str, Built] = {}
    read: dict[Path, Dockerfile] = {}
    for service in compose.services:
        place = service.build_place(compose)
        if place is None:
            continue
        path = folder / place.context / place.dockerfile
        try:
            if path not in read:
                read[path] = read_dockerfile(files.read(path))
        except (InvalidInput, files.Unfit):
            # Whether it is there is for the build to say; here it only would have answered what is asked of it.
            continue
        file = read[path]
        builds[service.name] = Built(file, file.stage_named(place.target) if place.target else file.final)
    return replace(compose, builds=builds)


def _findings(path: str, hits: Iterable[Hit]) -> list[Finding]:
    return [Finding(path, hit.line, hit.rule.severity, hit.rule.id, hit.message) for hit in hits]


def _sifted(scanned: dict[str, _Scanned], *, foreign: bool) -> tuple[list[Finding], list[Ignored]]:
    kept: list[Finding] = []
    ignored: list[Ignored] = []
    for path, file in scanned.items():
        sifted = ignores.sift(file.findings, file.ignores, IDS, foreign=foreign)
        kept += [*sifted.kept, *_findings(path, sifted.hits)]
        ignored += sifted.ignored
    return kept, ignored
