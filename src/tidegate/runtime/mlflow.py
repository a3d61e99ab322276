"""MLflow model folders: served by the runtime of their native flavour where there is one, by `mlflow.pyfunc` otherwise.

The native file is found in the folder and handed to its runtime by name, so that a scikit-learn model out of MLflow is
served like any other: faster than through MLflow, with probabilities and class labels, and without trust where the
format needs none. What has no such file (a Python function, a pickled module, a flavour with code of its own beside it)
is loaded by `mlflow.pyfunc.load_model`, which runs code that the folder brings and needs the user's trust.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import (
    ArtifactFiles,
    Columns,
    Derived,
    Derives,
    LoadOptions,
    Model,
    Recognition,
    Runtime,
    Signature,
)
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.mlflow_file import MANIFEST, PYFUNC, MlflowFolder, read_mlmodel
from tidegate.runtime.mlflow_pyfunc import PyfuncModel, load_pyfunc
from tidegate.runtime.mlflow_schema import specs_from_schema
from tidegate.runtime.pickle_scan import MAX_REASONS, scan
from tidegate.runtime.pytorch_file import read_torch_file
from tidegate.runtime.registry import get_runtime, runtime_names
from tidegate.runtime.rows import made_up_row
from tidegate.runtime.settings import require_known

#: By flavour, where it says that its file lies, and the runtimes that may know that file. MLflow saves the wrappers of
#: XGBoost and LightGBM with the interface of scikit-learn as skops, too.
_NATIVE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sklearn": (("pickled_model",), ("sklearn",)),
    "xgboost": (("data",), ("xgboost", "sklearn")),
    "lightgbm": (("data",), ("lightgbm", "sklearn")),
    "catboost": (("data",), ("catboost",)),
    "onnx": (("data",), ("onnx",)),
    "pytorch": (("model_data",), ("pytorch",)),
    "tensorflow": (("saved_model_dir", "data"), ("tensorflow",)),
    "keras": (("data",), ("tensorflow",)),
}
#: Names of the file where a flavour names a folder. `model.pth` is none of them: where it is TorchScript, the MLmodel
#: does not say what its arguments are called, and MLflow needs no names.
_FILES_IN_FOLDERS = ("model.pt2", "model.keras", "model.onnx", "model")
#: Files looked at for pickles; a folder of a model holds a few.
_MOST_SCANNED = 200


@dataclass(frozen=True)
class _Native:
    """The file of a native flavour, and what its runtime sees in it."""

    files: ArtifactFiles
    recognition: Recognition


class MlflowRuntime:
    """MLflow model folders."""

    name = "mlflow"
    packages = ("mlflow-skinny", "mlflow", "numpy", "pandas")
    #: A folder with this file is MLflow's, whatever else lies in it.
    manifest = MANIFEST

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        folder = read_mlmodel(files)
        if folder is None:
            return None
        native = _native(folder)
        if native is not None:
            return replace(native.recognition, runtime=self.name, delegate=native.recognition.runtime)
        reasons, dangerous = _reasons(folder)
        return Recognition(
            runtime=self.name,
            format="mlflow-pyfunc",
            framework_version=folder.version,
            needs_trust=PYFUNC in folder.flavors,
            reasons=reasons if PYFUNC in folder.flavors else (),
            dangerous=dangerous,
        )

    def derive(self, files: ArtifactFiles, options: LoadOptions, folder: Path) -> Derived:
        found = read_mlmodel(files)
        native = None if found is None else _native(found)
        runtime = None if native is None else get_runtime(native.recognition.runtime)
        if native is None or not isinstance(runtime, Derives):
            return Derived()
        return runtime.derive(native.files, options, folder)

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        folder = read_mlmodel(files)
        if folder is None:
            raise InvalidInput(f"{files.root.name} is no MLflow model: it has no {MANIFEST}.", subject=str(files.root))
        native = _native(folder)
        if native is not None:
            return _load_native(folder, native, options)
        if PYFUNC not in folder.flavors:
            raise InvalidInput(
                f"{files.root.name} has no flavour that Tidegate or MLflow's Python functions can load.",
                subject=str(files.root),
                expected=f"one of {', '.join([*_NATIVE, PYFUNC])}",
                got=", ".join(folder.flavors),
                hint="Deploy the model file in the folder, if it is of a format that Tidegate knows.",
            )
        reasons, dangerous = _reasons(folder)
        if not options.trusted or dangerous:
            raise NotTrusted(
                f"{files.root.name} is an MLflow Python function, and loading it would run code from it.",
                subject=str(files.root),
                got="; ".join(dangerous or reasons[:10]),
            )
        require_known(options.settings, ("inputs",), self.name)
        limit_threads(options.threads)
        import_framework("pandas", extra="mlflow", what="An MLflow Python function")
        return PyfuncModel(load_pyfunc(folder), folder, options)


def _native(folder: MlflowFolder) -> _Native | None:
    """Return the file of a flavour that one of our runtimes can load, None when there is none."""
    known = runtime_names()
    for flavor, (keys, names) in _NATIVE.items():
        settings = folder.flavors.get(flavor)
        if settings is None or settings.get("code"):
            continue
        for path in _candidates(folder, settings, keys):
            for name in names:
                files = ArtifactFiles(path)
                found = get_runtime(name).recognise(files) if name in known else None
                if found is not None and found.servable:
                    return _Native(files, found)
    return None


def _candidates(folder: MlflowFolder, settings: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[Path]:
    for key in keys:
        path = folder.path(settings.get(key))
        if path is None or path == folder.root.resolve():
            continue
        if path.is_dir():
            yield from (path / name for name in _FILES_IN_FOLDERS if (path / name).exists())
        yield path


def _load_native(folder: MlflowFolder, native: _Native, options: LoadOptions) -> Model:
    """Load the native file; without the user's sample, the folder's own example types the columns."""
    runtime = get_runtime(native.recognition.runtime)
    rows = folder.example_columns()
    if options.signature is not None or options.sample:
        return runtime.load(native.files, options)
    if rows:
        return _WithExample(runtime.load(native.files, replace(options, sample=rows)), rows[0])
    row = _row_from_schema(folder)
    if row is not None and any(isinstance(value, bool) for value in row.values()):
        # The native file does not say which columns are true or false, and would have clients send numbers. A made-up
        # text may be none that the model takes, though.
        with contextlib.suppress(InvalidInput):
            return _with_row(runtime, native, options, row)
    try:
        return runtime.load(native.files, options)
    except NotTrusted:
        raise
    except InvalidInput as first:
        if row is None:
            raise
        try:
            return _with_row(runtime, native, options, row)
        except InvalidInput:
            raise first from None


def _with_row(runtime: Runtime, native: _Native, options: LoadOptions, row: Mapping[str, Any]) -> Model:
    return _WithExample(runtime.load(native.files, replace(options, sample=[row])), row)


def _row_from_schema(folder: MlflowFolder) -> dict[str, Any] | None:
    """Return a made-up row of the types that the signature in MLmodel gives its columns, None without columns."""
    if not folder.inputs:
        return None
    try:
        specs, is_table = specs_from_schema(folder.inputs)
    except InvalidInput:
        return None
    return made_up_row(specs) if is_table else None


class _WithExample:
    """A model of another runtime, with a row of the folder's example to try it on."""

    def __init__(self, model: Model, example: Mapping[str, Any]) -> None:
        self._model = model
        self.example = example

    @property
    def signature(self) -> Signature:
        return self._model.signature

    def predict(self, inputs: Columns) -> Columns:
        return self._model.predict(inputs)

    def close(self) -> None:
        self._model.close()


def _reasons(folder: MlflowFolder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what loading the Python function would do, one line each, and those lines that no model needs."""
    loader = folder.flavors.get(PYFUNC, {}).get("loader_module")
    notes = [f"MLflow loads it with the module {str(loader)[:100]}"]
    imports: dict[str, None] = {}
    dangerous: dict[str, None] = {}
    paths = sorted(path for path in folder.root.rglob("*") if path.is_file())
    for path in paths[:_MOST_SCANNED]:
        inside = path.relative_to(folder.root).as_posix()
        if path.suffix == ".py":
            notes.append(f"it brings the code {inside}")
            continue
        pickled = scan(path)
        if pickled is not None:
            imports.update(dict.fromkeys(pickled.imports))
            dangerous.update(dict.fromkeys(f"it imports {name}" for name in pickled.dangerous))
            if pickled.unreadable is not None:
                notes.append(f"{inside} cannot be scanned to its end: {pickled.unreadable}")
            continue
        torch_file = read_torch_file(path)
        if torch_file is not None:
            imports.update(dict.fromkeys(("torch", *torch_file.imports)))
            dangerous.update(dict.fromkeys(torch_file.dangerous))
    if len(paths) > _MOST_SCANNED:
        notes.append(f"of its {len(paths)} files only {_MOST_SCANNED} were looked at")
    listed = [*dangerous, *(f"it imports {name}" for name in imports if f"it imports {name}" not in dangerous)]
    reasons = [*notes, *listed]
    if len(reasons) > MAX_REASONS:
        reasons = [*reasons[:MAX_REASONS], f"and {len(reasons) - MAX_REASONS} more"]
    return tuple(reasons), tuple(dangerous)
