"""What a runtime is: the code that recognises, checks, loads and executes one model format.

A runtime is found by its entry point in the group `tidegate.runtimes`; the built-in ones take the same route. All that
the rest of Tidegate knows of a model is its `Signature` and the columns or tensors that go in and come out, always as
a mapping from name to NumPy array. That holds for a tree ensemble, a network or an H2O MOJO: `load` makes it ready,
`predict` runs it, `close` ends it. The exception is a server that somebody else wrote, which a runtime starts by
command: its signature is "opaque", it is loaded only to be tried, and requests are forwarded to it as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Columns = Mapping[str, Array]

#: Open Inference Protocol datatypes. BYTES carries text; in memory it is an object array of `str` or None.
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}


@dataclass(frozen=True)
class TensorSpec:
    """One named input or output.

    Attributes:
        name: as the model knows it.
        datatype: Open Inference Protocol datatype.
        shape: -1 for a dimension of any size; the first dimension is the batch. A column is `(-1,)`.
        categories: the text values of a BYTES column that the model was trained on when it knows them, else None;
            whether it takes others is its own affair (most do).
        labels: for an output with one position per class, the class labels in order, else None.
        open_categories: any other text is a missing value to the model, and never refused. False where nobody knows.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = (-1,)
    categories: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    open_categories: bool = False


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives.

    `kind` is "columns" when every input is a named column of shape `(-1,)` (tables), "tensors" otherwise, and "opaque"
    for a server that somebody else wrote: it answers HTTP requests of a form of its own, and `inputs` and `outputs` are
    empty. A missing value is NaN in a float column and None in a BYTES column; INT and BOOL columns hold none, so a
    column in which a number may be missing is FP64.
    """

    kind: Literal["columns", "tensors", "opaque"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class ArtifactFiles:
    """An artifact on disk: `root` is the file, or the folder when the artifact is one."""

    root: Path

    @property
    def is_folder(self) -> bool:
        return self.root.is_dir()

    def head(self, size: int = 4096) -> bytes:
        """Return the first `size` bytes of a file artifact; empty for a folder."""
        if self.is_folder:
            return b""
        with self.root.open("rb") as stream:
            return stream.read(size)


@dataclass(frozen=True)
class Recognition:
    """What a runtime sees in an artifact without loading it.

    Attributes:
        runtime: name of the runtime, e.g. "sklearn".
        format: the file format, e.g. "skops", "pickle", "xgboost-json", "onnx".
        framework_version: version that wrote the artifact, when the file says so.
        needs_trust: True when loading it runs code that the file brings.
        reasons: for each thing that makes trust necessary, one line (e.g. the names a pickle would import).
        dangerous: those of `reasons` that no model needs (a shell, the network); empty when none.
        opaque: True for a server of somebody else's; its signature's kind will be "opaque".
        delegate: name of the runtime that this one hands a file of the artifact on to; the other fields are what that
            one sees. None when it loads the artifact itself.
        servable: False when it is known and will be refused when it is to be loaded, with what to do instead.
    """

    runtime: str
    format: str
    framework_version: str | None = None
    needs_trust: bool = False
    reasons: tuple[str, ...] = ()
    dangerous: tuple[str, ...] = ()
    opaque: bool = False
    delegate: str | None = None
    servable: bool = True


@runtime_checkable
class Model(Protocol):
    """A loaded model. `predict` is called from several threads at once."""

    @property
    def signature(self) -> Signature: ...

    def predict(self, inputs: Columns) -> Columns:
        """Run the model on a batch.

        Args:
            inputs: one array per input of the signature, with its dtype, all with the same first dimension. They may be
                read-only: numbers that came as bytes lie in the request.

        Returns:
            One array per output of the signature, in its order.
        """
        ...

    def close(self) -> None:
        """Free what the model holds. Called once; `predict` is not called afterwards."""
        ...


@runtime_checkable
class CountsUnseen(Protocol):
    """A model that takes texts which its training did not have for missing values, and counts them: one more attribute
    beside those of `Model`, which any thread may read."""

    @property
    def unseen_levels(self) -> Mapping[str, int]:
        """Such texts since the loading, by input; inputs that had none may be left out."""
        ...


@dataclass(frozen=True)
class LoadOptions:
    """How to load.

    Attributes:
        trusted: the caller said that code in the artifact may run.
        signature: the signature on record; None while the artifact is inspected for the first time.
        sample: rows that the user handed over as typical input, used to type the columns when `signature` is None.
        sample_path: the file that the user handed over, for an opaque model: what it takes is a body, not rows.
        threads: threads that one `predict` may use.
        settings: settings of this runtime alone (a command line, a health path), from the request document.
        derived: folder with the files that `Derives.derive` made of this artifact; None when there are none.
    """

    trusted: bool = False
    signature: Signature | None = None
    sample: Sequence[Mapping[str, Any]] | None = None
    sample_path: Path | None = None
    threads: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)
    derived: Path | None = None


@runtime_checkable
class Runtime(Protocol):
    """One model format. Constructing it is cheap and imports no framework."""

    #: Name used in `--framework`, in bundles and in metrics.
    name: str
    #: Distributions whose installed versions belong to a bundle's environment, the framework first.
    packages: tuple[str, ...]

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        """Say whether this is an artifact of this format, from its content; None when it is not. Never loads it."""
        ...

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        """Load the artifact.

        Raises:
            InvalidInput: the artifact is damaged, needs another version, or needs a sample to type its columns.
            NotTrusted: loading would run code and `options.trusted` is False.
        """
        ...


@runtime_checkable
class HasManifest(Protocol):
    """A runtime whose artifacts are folders that say so themselves: one more attribute beside those of `Runtime`.

    A folder with that file at its top is this runtime's alone, although another one may know a file inside.
    """

    #: Name of the file, e.g. "MLmodel".
    manifest: str


@runtime_checkable
class TakesAnyArtifact(Protocol):
    """A runtime whose artifacts cannot all be told by their content: one more method beside those of `Runtime`."""

    def recognise_named(self, files: ArtifactFiles) -> Recognition:
        """Take an artifact that the user says is for this runtime.

        Raises:
            InvalidInput: it cannot be.
        """
        ...


@dataclass(frozen=True)
class Derived:
    """What `Derives.derive` did.

    Attributes:
        packages: distributions that loading the derived files takes, instead of `Runtime.packages`; empty when nothing
            was derived.
        warnings: what the user should know, such as why nothing was derived.
    """

    packages: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@runtime_checkable
class Derives(Protocol):
    """A runtime that serves some artifacts by way of files made of them: one more method beside those of `Runtime`.

    That happens once, before the artifact is loaded for the first time. The files go into the bundle beside the
    artifact, under its digest, and come back as `LoadOptions.derived`; equal artifacts must give equal files.
    """

    def derive(self, files: ArtifactFiles, options: LoadOptions, folder: Path) -> Derived:
        """Write into the empty `folder` what `load` can use instead of the artifact, or nothing.

        Raises:
            InvalidInput: the artifact is damaged.
            NotTrusted: it would run code and `options.trusted` is False.
        """
        ...
