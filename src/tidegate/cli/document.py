"""From a command line to a request document: flags and file hold the same fields, and a flag wins."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput

#: Which field of the request document each option of `deploy` sets.
FIELD_OF_FLAG: dict[str, str] = {
    "MODEL": "modelArtifact.path",
    "--name": "name",
    "--framework": "modelArtifact.framework",
    "--version": "modelArtifact.version",
    "--trust": "modelArtifact.trust",
    "--sample": "modelArtifact.sample",
    "--p99": "servingRequirements.latencyP99",
    "--throughput": "servingRequirements.throughput",
    "--availability": "servingRequirements.availability",
    "--strategy": "deploymentStrategy",
    "--arm": "abTest.arms",
    "--steps": "steps",
    "--step-duration": "analysis.stepDuration",
    "--baseline": "analysis.baseline",
    "--min-requests": "analysis.minRequests",
    "--on-inconclusive": "analysis.onInconclusive",
    "--golden": "gates.golden",
    "--allow-breaking": "gates.allowBreaking",
    "--vulnerabilities": "gates.vulnerabilities.database",
    "--alias": "registry.alias",
    "--target": "infrastructure.platform",
    "--replicas": "infrastructure.resources.replicas",
    "--workers": "infrastructure.resources.workers",
    "--threads": "infrastructure.resources.threads",
    "--cache": "cache.store",
}

_MOST_BYTES = 2 * 1024 * 1024


def request_from(flags: Mapping[str, Any], source: str | None, here: Path) -> dict[str, Any]:
    """Build, check and complete the document that a `deploy` command line means.

    Args:
        flags: value per option of `FIELD_OF_FLAG`; None for one that was not given.
        source: what `-f` named ("-" is standard input), or None.
        here: the current folder; absolute.

    Returns:
        A valid request document whose paths are absolute and exist.

    Raises:
        InvalidInput: something in it is wrong, or a file that it names is missing.
    """
    from tidegate.contract.request import parse_request

    given = {flag: value for flag, value in flags.items() if value not in (None, [])}
    if source is None and "MODEL" not in given:
        raise InvalidInput(
            "Nothing to deploy.",
            expected="a model file, or a request document with -f",
            hint="Try: tidegate deploy MODEL --p99 50ms, or tidegate deploy -f request.yaml",
        )
    document, folder = ({}, here) if source is None else read_document(source, here)
    try:
        request = parse_request(merged(document, given, here)).anchored(folder)
    except InvalidInput as error:
        raise in_words_of_flags(error, given) from None
    artifact = request.model_artifact
    if not artifact.is_registered:
        require_file("modelArtifact.path", artifact.path, given)
    if artifact.sample is not None:
        require_file("modelArtifact.sample", artifact.sample, given)
    for arm in request.ab_test.arms:
        if not arm.model_artifact.is_registered:
            require_file("abTest.arms", arm.model_artifact.path, given)
    if request.gates.golden is not None:
        require_file("gates.golden", request.gates.golden, given)
    if request.drift is not None:
        require_file("drift.reference", request.drift.reference, given)
    if request.gates.vulnerabilities is not None:
        require_file("gates.vulnerabilities.database", request.gates.vulnerabilities.database, given)
    return request.as_document()


def flags_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value per option of `FIELD_OF_FLAG` from the parameters of a command that has them all."""
    return {flag: options.get(flag.lstrip("-").lower().replace("-", "_")) for flag in FIELD_OF_FLAG}


def planned_request_from(flags: Mapping[str, Any], source: str | None, here: Path) -> dict[str, Any]:
    """Build and check the document of a deployment that is only thought about: its files need not exist.

    Args:
        flags, source, here: as for `request_from`; without a model its place is taken by a name.

    Raises:
        InvalidInput: something in it is wrong.
    """
    from tidegate.contract.request import parse_request

    given = {flag: value for flag, value in flags.items() if value is not None}
    document, folder = ({"modelArtifact": {"path": "model"}}, here) if source is None else read_document(source, here)
    try:
        return parse_request(merged(document, given, here)).anchored(folder).as_document()
    except InvalidInput as error:
        raise in_words_of_flags(error, given) from None


def read_document(source: str, here: Path) -> tuple[dict[str, Any], Path]:
    """Read a request document; return its fields, and the folder that its relative paths count from."""
    from tidegate.contract.loading import load_request_text

    if source == "-":
        return load_request_text(sys.stdin.read(_MOST_BYTES), "standard input"), here
    path = here / Path(source).expanduser()
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_BYTES)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{source} is not a text file.", subject=str(path), expected="a request document in YAML or JSON, in UTF-8"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"The request document {source} cannot be read: {(error.strerror or 'unknown reason').lower()}.",
            subject=str(path),
            hint=_near_miss(path),
        ) from error
    return load_request_text(text, source), path.parent


def merged(document: Mapping[str, Any], given: Mapping[str, Any], here: Path) -> dict[str, Any]:
    """Return the document with the flags put in their fields; the document itself stays as it is.

    A part of the document that should be an object and is not stays, for `parse_request` to say so.
    """
    result: dict[str, Any] = _copy(document)
    result.setdefault("modelArtifact", {})
    result.setdefault("servingRequirements", {})
    for flag, value in given.items():
        *parents, last = FIELD_OF_FLAG[flag].split(".")
        part: Any = result
        for parent in parents:
            part = part.setdefault(parent, {}) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[last] = _field_value(flag, value, here)
    return result


def _copy(value: Any) -> Any:
    return {key: _copy(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _field_value(flag: str, value: Any, here: Path) -> Any:
    if flag == "--steps":
        return parsed_steps(value)
    if flag == "--arm":
        return [parsed_arm(one, here) for one in value]
    if flag == "MODEL":
        return artifact_path(value, here)
    if flag in {"--sample", "--golden", "--vulnerabilities"}:
        return str(here / Path(value).expanduser()) if value else value
    return value


def artifact_path(text: str, here: Path) -> str:
    """Return a model as it is typed for a document: a file with its whole path, a version of the registry as it is."""
    from tidegate.contract.models import is_reference

    return text if not text or is_reference(text) else str(here / Path(text).expanduser())


def parsed_steps(text: str) -> str | list[dict[str, Any]]:
    """Read "5,25,50,100" or the name of a list; whether the steps can follow each other is for the document to say."""
    from tidegate.contract.steps import PRESETS, parse_list

    try:
        return parse_list(text)
    except ValueError:
        expected = (
            f'percents with commas between, such as "5,25,50,100", or one of {", ".join(PRESETS)} '
            "(`tidegate steps explain` tells all that a step may be)"
        )
        raise InvalidInput(
            f'--steps: expected {expected}, got "{text}"', subject="steps", expected=expected, got=f'"{text}"'
        ) from None


def parsed_arm(text: str, here: Path) -> dict[str, Any]:
    """Read an arm as it is typed: "b.zip:20", or "b=model.zip:20" with a name."""
    name, sign, rest = text.partition("=")
    path, colon, weight = (rest if sign else text).rpartition(":")
    try:
        percent = float(weight)
    except ValueError:
        percent = 0.0
    if not colon or not path or (sign and not name) or not percent:
        expected = 'a model file and the percent of users that get it, such as "b.zip:20" or "b=model.zip:20"'
        raise InvalidInput(
            f'--arm: expected {expected}, got "{text}"', subject="abTest.arms", expected=expected, got=f'"{text}"'
        )
    artifact = {"path": artifact_path(path, here)}
    return {"modelArtifact": artifact, "weight": percent, **({"name": name} if sign else {})}


def in_words_of_flags(error: InvalidInput, given: Mapping[str, Any]) -> InvalidInput:
    """Return the error with `--p99 (servingRequirements.latencyP99)` where a flag set the field that is wrong."""
    flag_of = {FIELD_OF_FLAG[flag]: flag for flag in given}
    lines = []
    for line in error.message.splitlines():
        path, colon, rest = line.strip().partition(":")
        indent = line[: len(line) - len(line.lstrip())]
        flag = flag_of.get(path.partition("[")[0])
        lines.append(line if flag is None else f"{indent}{_flag_and_field(flag, path)}{colon}{rest}")
    return type(error)("\n".join(lines), subject=error.subject, expected=error.expected, got=error.got, hint=error.hint)


def _flag_and_field(flag: str, path: str) -> str:
    return flag if flag.lstrip("-") == path else f"{flag} ({path})"


def require_file(field: str, path: str, given: Mapping[str, Any]) -> None:
    """Refuse a path that names nothing, before anything is started for it."""
    file = Path(path)
    try:
        if file.exists():
            return
        reason = "There is no such file or folder"
    except OSError as error:
        reason = f"It cannot be read ({(error.strerror or 'unknown reason').lower()})"
    flag = next((flag for flag in given if FIELD_OF_FLAG[flag] == field), field)
    raise InvalidInput(f"{flag}: {reason}: {path}", subject=path, hint=_near_miss(file))


def _near_miss(path: Path) -> str | None:
    """Return which file beside a missing one was probably meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f"There is no folder {path.parent}."
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"Did you mean {path.parent / near[0]}?" if near else None
