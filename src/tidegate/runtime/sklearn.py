"""scikit-learn: skops files, and pickles and joblib files that the user trusts."""

from __future__ import annotations

import contextlib
import re
import zipfile
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, LoadOptions, Model, Recognition
from tidegate.runtime.estimator import load_estimator
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.pickle_scan import MAX_REASONS, recognise_pickle
from tidegate.runtime.settings import require_known
from tidegate.runtime.sklearn_trees import check_trees
from tidegate.runtime.skops_types import HARMLESS_MODULES, HARMLESS_TYPES, is_harmless
from tidegate.runtime.unpickle import unpickle
from tidegate.runtime.zip_bounds import DAMAGE, check_zip_bounds

#: Bound for the part of a skops file that is read whole.
MAX_SCHEMA_BYTES = 1 << 30
_SKOPS = "A skops file"


class SklearnRuntime:
    """scikit-learn estimators and pipelines."""

    name = "sklearn"
    packages = ("scikit-learn", "numpy", "scipy", "joblib", "skops", "pandas")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            return None
        if files.head(4)[:2] == b"PK":
            return _recognise_skops(files.root)
        return recognise_pickle(files, self.name)

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        require_known(options.settings, (), self.name)
        limit_threads(options.threads)
        import_framework("sklearn", extra="sklearn", what="A scikit-learn model")
        estimator = _load_skops(files, options) if files.head(4)[:2] == b"PK" else unpickle(files, options)
        return load_estimator(estimator, options)


def _recognise_skops(path: Path) -> Recognition | None:
    try:
        with zipfile.ZipFile(path) as archive:
            if "schema.json" not in archive.namelist():
                return None
            check_zip_bounds(path, archive)
            if archive.getinfo("schema.json").file_size > MAX_SCHEMA_BYTES:
                raise InvalidInput(f"The schema inside {path.name} is too large.", subject=str(path))
            schema = archive.read("schema.json")
    except DAMAGE as error:
        if not _began_as_skops(path):
            return None
        raise InvalidInput(
            f"{path.name} is a damaged skops file: {error}.",
            subject=str(path),
            hint="Copy or save the file again; it may have been cut short.",
        ) from error
    if b'"_skops_version"' not in schema:
        return None
    version = re.search(rb'"_sklearn_version"\s*:\s*\{[^{}]*?"content"\s*:\s*"\\"([\w.+-]{1,40})\\""', schema)
    untrusted = [name for name in _untrusted_types(path) if not is_harmless(name)]
    reasons = [f"it holds the type {name}" for name in untrusted[:MAX_REASONS]]
    if len(untrusted) > MAX_REASONS:
        reasons.append(f"and {len(untrusted) - MAX_REASONS} types more")
    return Recognition(
        runtime="sklearn",
        format="skops",
        framework_version=version.group(1).decode() if version else None,
        needs_trust=bool(untrusted),
        reasons=tuple(reasons),
    )


def _began_as_skops(path: Path) -> bool:
    """Whether a zip without a readable directory starts like what skops writes: arrays, or the schema itself."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    return b".npy" in head or b"schema.json" in head


def _untrusted_types(path: Path) -> list[str]:
    skops: Any = import_framework("skops.io", extra="sklearn", what=_SKOPS)
    try:
        return list(skops.get_untrusted_types(file=path))
    except Exception as error:
        # skops reads the schema and every array for this, and passes on whatever zip, JSON and NumPy make of damage.
        raise InvalidInput(
            f"The content of {path.name} cannot be read: {type(error).__name__}: {error}.",
            subject=str(path),
            hint="The file may be damaged, or written by a newer skops.",
        ) from error


def _harmless_types() -> list[str]:
    """Return by name what `is_harmless`, as far as the installed scikit-learn has it."""
    names = set(HARMLESS_TYPES)
    for module in HARMLESS_MODULES:
        with contextlib.suppress(InvalidInput):
            found = import_framework(module, extra="sklearn", what=_SKOPS)
            names.update(f"{module}.{name}" for name in vars(found) if not name.startswith("__"))
    return sorted(names)


def _load_skops(files: ArtifactFiles, options: LoadOptions) -> Any:
    path = files.root
    skops: Any = import_framework("skops.io", extra="sklearn", what=_SKOPS)
    refusal: Any = import_framework("skops.io.exceptions", extra="sklearn", what=_SKOPS).UntrustedTypesFoundException
    try:
        # To ask for the unknown types first would read every array twice.
        try:
            return check_trees(skops.load(path, trusted=_harmless_types()))
        except refusal:
            unknown = _untrusted_types(path)
            if not options.trusted:
                raise NotTrusted(
                    f"{path.name} holds types that skops does not know to be safe.",
                    subject=str(path),
                    got=", ".join([name for name in unknown if not is_harmless(name)][:10]),
                ) from None
            return check_trees(skops.load(path, trusted=unknown))
    except (InvalidInput, NotTrusted):
        raise
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{path.name} needs the module {error.name!r}, which is not installed here.", subject=str(path)
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"{path.name} cannot be loaded: {type(error).__name__}: {error}.",
            subject=str(path),
            hint="It may be damaged, or written by another version of scikit-learn.",
        ) from error
