"""An MLflow model folder: what its `MLmodel` says, read without MLflow.

Source: MLflow's documentation "MLflow Models" (storage format) and `model.py`, `signature.py` and `utils.py` in
`mlflow/models` of 3.17: YAML with `flavors`, one entry per way to load the model, `signature` with its parts as JSON
texts, and `saved_input_example_info`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles

MANIFEST = "MLmodel"
PYFUNC = "python_function"
_MOST_BYTES, _DEEPEST, _MOST_ALIASES = 4 << 20, 50, 100
_EXAMPLE_BYTES, _EXAMPLE_ROWS = 16 << 20, 100


@dataclass(frozen=True)
class MlflowFolder:
    """A model folder.

    Attributes:
        root: the folder.
        flavors: by name, the settings of each way to load the model.
        version: version of MLflow that wrote it, None when it does not say.
        inputs: the entries of the signature's inputs, as MLflow writes them; None without a signature.
        example: what `saved_input_example_info` says, None when no example was saved.
    """

    root: Path
    flavors: Mapping[str, Mapping[str, Any]]
    version: str | None
    inputs: tuple[Mapping[str, Any], ...] | None
    example: Mapping[str, Any] | None

    def path(self, relative: Any) -> Path | None:
        """Return a file or folder inside that a flavour names, None when it is not there or not inside."""
        if not isinstance(relative, str) or not relative or "\0" in relative:
            return None
        path = (self.root / relative).resolve()
        return path if path.is_relative_to(self.root.resolve()) and path.exists() else None

    def example_columns(self) -> list[dict[str, Any]]:
        """Return the rows of an example that is a table, at most 100; empty when there is none that can be read."""
        if self.example is None or self.example.get("type") != "dataframe":
            return []
        document = self._example_document()
        columns = document.get("columns") if isinstance(document, dict) else None
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, list) or not isinstance(columns, list):
            return []
        rows = [row for row in data[:_EXAMPLE_ROWS] if isinstance(row, list) and len(row) == len(columns)]
        return [{str(name): value for name, value in zip(columns, row, strict=True)} for row in rows]

    def example_tensors(self) -> dict[str | None, list[Any]]:
        """Return the values of an example made of arrays, by name, None for the only one without a name."""
        if self.example is None or self.example.get("type") != "ndarray":
            return {}
        document = self._example_document()
        if isinstance(document, dict):
            named = document.get("inputs", document)
            if isinstance(named, dict):
                return {str(name): values[:_EXAMPLE_ROWS] for name, values in named.items() if isinstance(values, list)}
            document = named
        return {None: document[:_EXAMPLE_ROWS]} if isinstance(document, list) else {}

    def _example_document(self) -> Any:
        path = self.path((self.example or {}).get("artifact_path"))
        if path is None or not path.is_file() or path.stat().st_size > _EXAMPLE_BYTES:
            return None
        try:
            return json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return None


def read_mlmodel(files: ArtifactFiles) -> MlflowFolder | None:
    """Return what `MLmodel` in a folder says; None for a file, and for a folder without it.

    Raises:
        InvalidInput: it is there, and it is damaged, too large, or says nothing of flavours.
    """
    path = files.root / MANIFEST
    if not files.is_folder or not path.is_file():
        return None
    document = _document(path)
    flavors = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(flavors, dict) or not flavors or any(not isinstance(found, dict) for found in flavors.values()):
        raise _damaged(path, "it names no flavours")
    version = document.get("mlflow_version")
    example = document.get("saved_input_example_info")
    return MlflowFolder(
        root=files.root,
        flavors={str(name): found for name, found in flavors.items()},
        version=version if isinstance(version, str) else None,
        inputs=_inputs(path, document.get("signature")),
        example=example if isinstance(example, dict) else None,
    )


def _document(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise _damaged(path, f"it is larger than {_MOST_BYTES >> 20} MiB")
        _check_events(path, text)
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"it cannot be read as text: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _damaged(path, " ".join(f"it is not YAML: {error}".split())[:300]) from error


def _check_events(path: Path, text: str) -> None:
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _DEEPEST:
            raise _damaged(path, f"it is nested more than {_DEEPEST} deep")
        if aliases > _MOST_ALIASES:
            raise _damaged(path, f"it has more than {_MOST_ALIASES} aliases")


def _inputs(path: Path, signature: Any) -> tuple[Mapping[str, Any], ...] | None:
    written = signature.get("inputs") if isinstance(signature, dict) else None
    if written is None:
        return None
    try:
        entries = json.loads(written)
    except (TypeError, ValueError, RecursionError) as error:
        raise _damaged(path, f"the inputs of its signature are no JSON: {error}") from error
    if not isinstance(entries, list) or any(not isinstance(entry, dict) for entry in entries):
        raise _damaged(path, "the inputs of its signature are no list of objects")
    return tuple(entries)


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(
        f"The {MANIFEST} of {path.parent.name} is of no use: {why}.",
        subject=str(path),
        hint="Save the model again with MLflow, or deploy the model file inside.",
    )
