"""Running a SavedModel with TensorFlow itself."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.savedmodel_file import SIGNATURE, SavedGraph


def import_tensorflow(threads: int) -> Any:
    """Import TensorFlow, quietly, with that many threads for one operation and one operation at a time.

    The first call in a process decides the threads: TensorFlow starts them once.

    Raises:
        InvalidInput: it is not installed.
    """
    limit_threads(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_standard_error():
        tensorflow: Any = import_framework("tensorflow", extra="tensorflow", what="A SavedModel")
        with contextlib.suppress(RuntimeError):
            tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow


@contextlib.contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Drop what libraries write to standard error below Python, and keep lines of JSON, which are logs."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said:
                if line.startswith(b"{"):
                    os.write(2, line)


class TensorflowGraph:
    """The backend that runs the signature `serving_default` eagerly.

    Args:
        folder: of the SavedModel.
        graph: what its file says of the graph to serve.
        threads: threads that one run may use.

    Raises:
        InvalidInput: TensorFlow is not installed, or cannot load the folder.
    """

    def __init__(self, folder: Path, graph: SavedGraph, threads: int) -> None:
        self._tensorflow = tensorflow = import_tensorflow(threads)
        try:
            with quiet_standard_error():
                # Held, for the function does not keep the variables alive.
                self._loaded = tensorflow.saved_model.load(str(folder), tags=list(graph.tags))
                self._function = self._loaded.signatures[SIGNATURE]
        except Exception as error:
            raise InvalidInput(
                f"TensorFlow {tensorflow.__version__} cannot load {folder.name}: {' '.join(str(error).split())[:400]}",
                subject=str(folder),
                hint="The folder may be incomplete (`variables/` belongs to it), or use operations of another library.",
            ) from error

    def __call__(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        convert = self._tensorflow.convert_to_tensor
        answer = self._function(**{key: convert(values) for key, values in feeds.items()})
        return {key: values.numpy() for key, values in answer.items()}
