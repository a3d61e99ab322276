"""What is this file? Asked of every runtime; answered from its content; nothing is loaded."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, HasManifest, Recognition, Runtime, TakesAnyArtifact
from tidegate.runtime.registry import get_runtime, runtimes

#: Bounds for an artifact; larger ones are possible with `ArtifactLimits`.
MAX_BYTES, MAX_FILES = 4 << 30, 10_000

_FORMATS = (
    "scikit-learn (skops, joblib, pickle), XGBoost (JSON, UBJSON), LightGBM (text model), ONNX, "
    "Python code (a .py file or a folder with model.py, with a class that has predict), "
    "a server's command line (a folder with tidegate.yaml), "
    "CatBoost (cbm, JSON), TensorFlow (a SavedModel folder), "
    "PyTorch (torch.export, TorchScript), MLflow (a folder with MLmodel), H2O MOJO (a zip or folder with model.ini)"
    # Formats of other runtimes are named after them, see `_known_formats`.
)
_BUILT_IN = {
    "sklearn",
    "xgboost",
    "lightgbm",
    "onnx",
    "python",
    "command",
    "catboost",
    "tensorflow",
    "pytorch",
    "mlflow",
    "mojo",
}


@dataclass(frozen=True)
class ArtifactLimits:
    """How large an artifact may be."""

    bytes: int = MAX_BYTES
    files: int = MAX_FILES


def inspect_artifact(
    path: Path, framework: str | None = None, limits: ArtifactLimits | None = None
) -> tuple[ArtifactFiles, Recognition]:
    """Find out what an artifact is.

    Args:
        path: file or folder.
        framework: name of the runtime that the user says it is for, None to go by the content alone.
        limits: None for the usual ones.

    Raises:
        InvalidInput: it is missing, empty, too large, of no known format, or not what `framework` says.
    """
    if framework is not None:
        get_runtime(framework)
    measure(path, limits or ArtifactLimits())
    files = ArtifactFiles(path)
    found = [seen for runtime in _askable(files) if (seen := runtime.recognise(files)) is not None]
    if framework is not None and all(recognition.runtime != framework for recognition in found):
        named = get_runtime(framework)
        found += [named.recognise_named(files)] if isinstance(named, TakesAnyArtifact) else []
    if not found:
        raise _unknown(path)
    chosen = next((recognition for recognition in found if recognition.runtime == framework), None)
    if framework is None:
        chosen = found[0]
    if chosen is None:
        seen = found[0]
        raise InvalidInput(
            f"{path.name} is a {seen.runtime} model ({seen.format}), not one of {framework}.",
            subject=str(path),
            expected=f"a model of {framework}, as --framework says",
            got=f"{seen.runtime} ({seen.format}), by its content",
            hint=f"Leave --framework out, or say --framework {seen.runtime}.",
        )
    return files, chosen


def _askable(files: ArtifactFiles) -> list[Runtime]:
    """Return the runtimes to ask: all of them, or for a folder with a manifest those whose manifest it is."""
    every = list(runtimes())
    return [runtime for runtime in every if files.is_folder and _claims(runtime, files)] or every


def _claims(runtime: Runtime, files: ArtifactFiles) -> bool:
    return isinstance(runtime, HasManifest) and (files.root / runtime.manifest).is_file()


def _unknown(path: Path) -> InvalidInput:
    others = [runtime.name for runtime in runtimes() if runtime.name not in _BUILT_IN]
    return InvalidInput(
        f"{path.name} is of no format that Tidegate knows.",
        subject=str(path),
        expected="one of: " + "; ".join([_FORMATS, *others]),
        got=_first_bytes(path),
        hint=_way_out(path),
    )


def _way_out(path: Path) -> str:
    if path.is_dir():
        return (
            "Name the model file in it. For a server of your own, put tidegate.yaml with its command into the folder."
        )
    if zipfile.is_zipfile(path):
        return "If it is an archive of a model file, unpack it and name that file."
    return "The file may be damaged. Otherwise export the model to one of these formats, ONNX for most others."


def _first_bytes(path: Path) -> str:
    if path.is_dir():
        names = sorted(entry.name for entry in path.iterdir())
        return f"a folder with {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    head = ArtifactFiles(path).head(16)
    return f"a file that begins with {head!r}"


def measure(path: Path, limits: ArtifactLimits) -> int:
    """Return the size of an artifact in bytes.

    Raises:
        InvalidInput: it is missing, unreadable, empty, beyond the limits, no regular file, or its links lead out of it.
    """
    try:
        size = _folder_size(path, limits) if path.is_dir() else _file_size(path)
    except FileNotFoundError as error:
        raise InvalidInput(
            f"There is no file {path}.", subject=str(path), hint="Check the path; it is read on this machine."
        ) from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.", subject=str(path)) from error
    if size == 0:
        raise InvalidInput(f"{path.name} is empty.", subject=str(path), expected="a trained model", got="0 bytes")
    if size > limits.bytes:
        raise InvalidInput(
            f"{path.name} is larger than an artifact may be.",
            subject=str(path),
            expected=f"at most {limits.bytes} bytes",
            got=f"{size} bytes",
        )
    return size


def _file_size(path: Path) -> int:
    status = path.stat()
    if not path.is_file():
        raise InvalidInput(f"{path} is neither a file nor a folder.", subject=str(path))
    with path.open("rb"):
        return status.st_size


def _folder_size(path: Path, limits: ArtifactLimits) -> int:
    root = path.resolve()
    total, count = 0, 0
    for folder, names, files in os.walk(root, onerror=_raise):
        for name in [*names, *files]:
            entry = Path(folder, name)
            if entry.is_symlink() and not entry.resolve().is_relative_to(root):
                raise InvalidInput(
                    f"{entry.relative_to(root)} in {path.name} is a link that leads out of the folder.",
                    subject=str(path),
                    hint="Copy the file into the folder.",
                )
        for name in files:
            entry = Path(folder, name)
            count += 1
            total += _file_size(entry)
            if count > limits.files or total > limits.bytes:
                raise InvalidInput(
                    f"The folder {path.name} holds more than an artifact may.",
                    subject=str(path),
                    expected=f"at most {limits.files} files and {limits.bytes} bytes",
                    got=f"more than {count - 1} files and {total} bytes",
                )
    return total


def _raise(error: OSError) -> None:
    raise error
