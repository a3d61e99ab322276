"""`mojo`: models that H2O exported, scored without a JVM."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import ArtifactFiles, Columns, Derived, LoadOptions, Model, Recognition, Signature
from tidegate.runtime.mojo.container import MODEL_INI, open_container
from tidegate.runtime.mojo.rows import Policy
from tidegate.runtime.settings import require_known

if TYPE_CHECKING:
    from tidegate.runtime.mojo.load import MojoModel

#: `[info]` comes first, and the keys of every model within this many bytes.
_HEAD_BYTES = 1 << 16
_INFO = re.compile(rb"\s*\[info\]\s*[\r\n]")
_ALGORITHM = re.compile(rb"^\s*algorithm\s*=\s*\S", re.MULTILINE)
_STRICT = "strict"
#: Smaller files are not even looked at for large arrays: making all that they can hold takes no time.
_LEAST_DERIVED_BYTES = 256 << 10


class MojoRuntime:
    """H2O MOJO files, zipped or unpacked."""

    name = "mojo"
    packages = ("numba", "llvmlite", "numpy")
    manifest = MODEL_INI

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        head = _head_of_folder(files) if files.is_folder else _head_in_zip(files)
        if not _INFO.match(head) or _ALGORITHM.search(head) is None:
            return None
        return Recognition(self.name, "h2o-folder" if files.is_folder else "h2o-zip")

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        """Load the model and compile what scores it.

        Raises:
            InvalidInput: the file is damaged, or cannot be scored to H2O's numbers.
        """
        require_known(options.settings, (_STRICT,), self.name)
        strict = options.settings.get(_STRICT, False)
        if not isinstance(strict, bool):
            raise InvalidInput(
                "The setting strict is neither true nor false.",
                subject=f"modelArtifact.settings.{_STRICT}",
                expected="true: a level that the training did not have is an error; false: it is a missing value",
                got=str(strict)[:100],
            )
        from tidegate.runtime.mojo.load import read
        from tidegate.runtime.mojo.shelf import shelf_in

        shelf = nullcontext() if options.derived is None else shelf_in(options.derived)
        with closing(open_container(files.root)) as container, shelf:
            return ServedMojo(read(container), Policy(strict=strict))

    def derive(self, files: ArtifactFiles, options: LoadOptions, folder: Path) -> Derived:
        """Write trees and weights of large models as they lie in memory, so that a server's workers map one copy."""
        if _bytes_of(files.root) < _LEAST_DERIVED_BYTES:
            return Derived()
        from tidegate.runtime.mojo.registry import read_model
        from tidegate.runtime.mojo.shelf import shelf_in

        with closing(open_container(files.root)) as container, shelf_in(folder, writes=True) as shelf:
            read_model(container)
        return Derived() if shelf.is_empty else Derived(packages=self.packages)


class ServedMojo:
    """A MOJO with typed columns in and out."""

    def __init__(self, model: MojoModel, policy: Policy) -> None:
        self._model = model
        self._policy = policy
        self.signature = model.signature if policy.strict else _opened(model.signature)

    @property
    def unseen_levels(self) -> Mapping[str, int]:
        return self._model.unseen_levels

    def predict(self, inputs: Columns) -> Columns:
        size = len(next(iter(inputs.values())))
        if size == 1:
            # Through Python's values: for one row that is half of what an assignment per column costs.
            row = {name: column.item() for name, column in inputs.items()}
            return self._model.answers.columns(self._model.score_one(row, self._policy))
        return self._model.predict_columns(inputs, size, self._policy)

    def close(self) -> None:
        del self._model


def _opened(signature: Signature) -> Signature:
    """Return the signature of a model to which any other text is a missing value."""
    inputs = tuple(
        spec if spec.categories is None else replace(spec, open_categories=True) for spec in signature.inputs
    )
    return replace(signature, inputs=inputs)


def _bytes_of(root: Path) -> int:
    return (
        sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) if root.is_dir() else root.stat().st_size
    )


def _head_of_folder(files: ArtifactFiles) -> bytes:
    path = files.root / MODEL_INI
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)


def _head_in_zip(files: ArtifactFiles) -> bytes:
    if not files.head(4).startswith(b"PK"):
        return b""
    try:
        with zipfile.ZipFile(files.root) as archive, archive.open(MODEL_INI) as stream:
            return stream.read(_HEAD_BYTES)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        return b""
