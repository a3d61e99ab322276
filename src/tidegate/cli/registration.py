"""From a command line to what is told of a version: its artifact, its metrics, what it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.document import artifact_path, read_document, require_file
from tidegate.contract.errors import InvalidInput
from tidegate.contract.lineage import check_metrics
from tidegate.contract.request import ModelArtifact, parse_artifact

if TYPE_CHECKING:
    from tidegate.client.imports import FoundVersion

_MOST_BYTES = 1 << 20


def artifact_of(
    model: str | None,
    file: str | None,
    here: Path,
    *,
    framework: str | None,
    sample: str | None,
    trust: bool | None,
) -> dict[str, Any]:
    """Return the model artifact that a command line means; an option wins over the document.

    Args:
        file: a request document, of which `modelArtifact` is taken; "-" is standard input.
        here: the current folder; absolute.

    Raises:
        InvalidInput: there is none, something in it is wrong, or a file that it names is missing.
    """
    document, folder = ({}, here) if file is None else read_document(file, here)
    told = document.get("modelArtifact", {})
    if not isinstance(told, dict) or (model is None and "path" not in told):
        raise InvalidInput(
            "Nothing to register.",
            expected="a model file, or a request document with -f",
            hint="Try: tidegate registry add NAME MODEL",
        )
    given = {"framework": framework, "trust": trust, "sample": None if sample is None else str(here / sample)}
    fields = {**told, **{name: value for name, value in given.items() if value is not None}}
    if model is not None:
        fields["path"] = artifact_path(model, here)
    artifact: ModelArtifact = parse_artifact(fields).anchored(folder)
    if not artifact.is_registered:
        require_file("MODEL", artifact.path, {})
    if artifact.sample is not None:
        require_file("--sample", artifact.sample, {})
    return artifact.as_document()


def metrics_of(words: Sequence[str], file: str | None, here: Path) -> dict[str, float]:
    """Return the metrics of `--metric NAME=NUMBER` and of a JSON file; a word wins over the file.

    Raises:
        InvalidInput: one is no finite number.
    """
    found: dict[str, Any] = {} if file is None else _read_metrics(file, here)
    for word in words:
        name, sign, text = word.rpartition("=")
        try:
            number = float(text)
        except ValueError:
            number = None
        if not sign or not name or number is None:
            expected = "a name and a number, such as auc=0.91"
            raise InvalidInput(f'--metric: expected {expected}, got "{word}"', subject="--metric", expected=expected)
        found[name] = number
    return check_metrics(found)


def lineage_of(
    data: Sequence[str], here: Path, *, code: str | None, parent: str | None, run: str | None
) -> dict[str, Any]:
    """Return the lineage that a command line means; of data in a file on this machine with its sha256."""
    told = {"code": code, "parent": parent, "run": run}
    found = {name: value for name, value in told.items() if value is not None}
    return {**found, "data": [_data(one, here) for one in data]} if data else found


def versions_from(source: str, models: Sequence[str], here: Path, *, mlflow: bool) -> Iterator[FoundVersion]:
    """Return what is found at a source: a folder, or MLflow's tracking URI.

    Args:
        mlflow: a folder is one of MLflow's own files.
    """
    if "://" in source or mlflow:
        from tidegate.client.imports.mlflow import found_in as found_in_mlflow

        return found_in_mlflow(source if "://" in source else (here / Path(source).expanduser()).as_uri(), models)
    from tidegate.client.imports.folder import found_in

    return found_in(here / Path(source).expanduser(), models)


def _data(text: str, here: Path) -> dict[str, Any]:
    path = here / Path(text).expanduser()
    try:
        if not path.is_file():
            return {"uri": text}
        with path.open("rb") as stream:
            return {"uri": str(path), "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
    except OSError as error:
        raise InvalidInput(f"--data: {path} cannot be read: {error.strerror or error}", subject=str(path)) from error


def _read_metrics(file: str, here: Path) -> dict[str, Any]:
    path, expected = here / Path(file).expanduser(), 'a JSON object of numbers, such as {"auc": 0.91}'
    try:
        with path.open(encoding="utf-8") as stream:
            found = json.loads(stream.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"--metrics: {path} cannot be read: {str(error)[:200]}", subject=str(path), expected=expected
        ) from error
    if not isinstance(found, dict):
        raise InvalidInput(f"--metrics: {path} holds something else", subject=str(path), expected=expected)
    return found
