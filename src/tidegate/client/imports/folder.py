"""Models in a folder: `FOLDER/MODEL/VERSION`, where a version is a file, or a folder with one, or is a model itself."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.client.imports.found import FoundVersion
from tidegate.contract.errors import InvalidInput, NotFound, TidegateError

#: What is told of a version lies beside it under its name with this.
TOLD = ".version.json"

_FIELDS = ("metrics", "lineage", "description", "aliases", "stage")
#: Files by which a folder is a model, whatever else lies in it.
_MANIFESTS = ("MLmodel", "tidegate.yaml", "saved_model.pb", "model.py", "model.ini")
_MOST_BYTES = 1 << 20


def found_in(folder: Path, models: Collection[str] = ()) -> Iterator[FoundVersion]:
    """Yield the versions of each model, models by name and versions in the order of the numbers in their names.

    Args:
        folder: with a folder for each model; absolute.
        models: those that are wanted; all when there are none.

    Raises:
        InvalidInput: it is no folder, or has no folders in it.
        NotFound: a model that is wanted is not there.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be read as a folder: {(error.strerror or 'unknown reason').lower()}",
            subject=str(folder),
            expected="a folder with MODEL/VERSION in it, or the tracking URI of MLflow",
        ) from error
    if not names:
        raise InvalidInput(
            f"there is no model in {folder}",
            subject=str(folder),
            expected="a folder for each model, with its versions in it: MODEL/VERSION",
        )
    for missing in sorted(set(models) - set(names)):
        raise NotFound(f"there is no model {missing!r} in {folder}", subject=missing, got=", ".join(names[:10]))
    for name in names:
        if not models or name in models:
            yield from _versions(folder / name)


def _versions(folder: Path) -> Iterator[FoundVersion]:
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".") and not entry.name.endswith(TOLD)]
    for entry in sorted(entries, key=lambda entry: in_order(entry.name)):
        number = entry.name if entry.is_dir() else entry.stem
        artifact = _artifact(entry)
        try:
            told = _told(folder / f"{number}{TOLD}")
        except TidegateError as refused:
            yield FoundVersion(folder.name, number, str(artifact), refusal=refused)
            continue
        yield FoundVersion(
            model=folder.name,
            number=number,
            source=str(artifact),
            artifact=artifact,
            metrics=told.get("metrics", {}),
            lineage=told.get("lineage", {}),
            description=told.get("description", ""),
            aliases=tuple(told.get("aliases", ())),
            stage=told.get("stage"),
        )


def in_order(name: str) -> list[tuple[int, int | str]]:
    """Return what sorts names as people count: 9 before 10, v2 before v10."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _artifact(entry: Path) -> Path:
    """Return the file that a folder is there for; the folder itself where it is the model."""
    if not entry.is_dir() or any((entry / name).is_file() for name in _MANIFESTS):
        return entry
    inside = [inner for inner in entry.iterdir() if not inner.name.startswith(".")]
    return inside[0] if len(inside) == 1 else entry


def _told(path: Path) -> Mapping[str, Any]:
    expected = f"a JSON object with any of {', '.join(_FIELDS)}"
    try:
        with path.open(encoding="utf-8") as stream:
            found = json.loads(stream.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path} cannot be read: {str(error)[:200]}", subject=str(path), expected=expected
        ) from error
    kinds = {"metrics": dict, "lineage": dict, "description": str, "aliases": list, "stage": str}
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} is not a JSON object", subject=str(path), expected=expected)
    for name, value in found.items():
        if name not in kinds:
            raise InvalidInput(f"{path}: unknown field {name[:60]!r}", subject=str(path), expected=expected)
        if not isinstance(value, kinds[name]):
            raise InvalidInput(
                f"{path}: {name} is of another kind",
                subject=str(path),
                expected={dict: "an object", str: "text", list: "a list of texts"}[kinds[name]],
            )
    if not all(isinstance(alias, str) for alias in found.get("aliases", [])):
        raise InvalidInput(f"{path}: aliases is of another kind", subject=str(path), expected="a list of texts")
    return found
