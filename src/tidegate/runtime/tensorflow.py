"""TensorFlow: SavedModel folders, by ONNX Runtime where a conversion answers the same, by TensorFlow otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import ArtifactFiles, Columns, Derived, LoadOptions, Model, Recognition, Signature
from tidegate.runtime.onnx_session import OnnxGraph
from tidegate.runtime.protobuf import DamagedMessageError
from tidegate.runtime.savedmodel_file import FILENAME, SavedGraph, read_saved_model
from tidegate.runtime.savedmodel_reach import reaching_operations
from tidegate.runtime.savedmodel_signature import Backend, SavedModelInterface, serving_graph
from tidegate.runtime.settings import require_known
from tidegate.runtime.tensorflow_graph import TensorflowGraph

_CONVERTED = "model.onnx"
#: A conversion that takes longer is given up; it is tried in a process of its own.
_CONVERT_SECONDS = 90.0
#: Other forms of the same graph, which TensorFlow would read in place of the one that was looked into.
_OTHER_FORMS = ("saved_model.cpb", "saved_model.pbtxt")


class TensorflowRuntime:
    """SavedModels: the folder that `model.export` and `tf.saved_model.save` write."""

    name = "tensorflow"
    packages = ("tensorflow-cpu", "tensorflow", "numpy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if not files.is_folder or not (files.root / FILENAME).is_file():
            return None
        try:
            graphs = read_saved_model(files.root)
        except (DamagedMessageError, OSError):
            # Loading says what is wrong with it.
            return Recognition(self.name, "tensorflow-savedmodel")
        reasons = _reasons(files, graphs)
        version = next((graph.version for graph in graphs if graph.version), None)
        return Recognition(self.name, "tensorflow-savedmodel", version, bool(reasons), reasons)

    def derive(self, files: ArtifactFiles, options: LoadOptions, folder: Path) -> Derived:
        graphs, reasons = _looked_into(files, options)
        interface = SavedModelInterface(serving_graph(graphs))
        # What reaches beyond the model is not run again and again only to compare.
        reason = next(iter(reasons), None) or _why_not(interface, options)
        reason = reason or _convert(files, options, folder / _CONVERTED)
        if reason is None:
            return Derived(packages=("onnxruntime", "numpy"))
        return Derived(warnings=(f"TensorFlow itself serves the model, for it is not converted to ONNX: {reason}.",))

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        require_known(options.settings, (), self.name)
        graphs, _ = _looked_into(files, options)
        graph = serving_graph(graphs)
        interface = SavedModelInterface(graph)
        converted = None if options.derived is None else options.derived / _CONVERTED
        if converted is not None and converted.is_file():
            return SavedModel(interface, OnnxGraph(converted, options.threads), options)
        return SavedModel(interface, TensorflowGraph(files.root, graph, options.threads), options)


def _looked_into(files: ArtifactFiles, options: LoadOptions) -> tuple[list[SavedGraph], tuple[str, ...]]:
    """Return the graphs, and for each way in which they can reach beyond the model one line.

    Raises:
        InvalidInput: the file is damaged.
        NotTrusted: the graph reaches beyond itself and nobody said that it may.
    """
    try:
        graphs = read_saved_model(files.root)
    except (DamagedMessageError, OSError) as error:
        raise InvalidInput(
            f"{files.root.name} is a damaged SavedModel: {error}.",
            subject=str(files.root / FILENAME),
            hint="Copy or export the folder again; the file may have been cut short.",
        ) from error
    reasons = _reasons(files, graphs)
    if reasons and not options.trusted:
        raise NotTrusted(
            f"{files.root.name} is a SavedModel whose graph can reach beyond the model. It was not loaded.",
            subject=str(files.root),
            got="; ".join(reasons[:10]),
        )
    return graphs, reasons


def _reasons(files: ArtifactFiles, graphs: Sequence[SavedGraph]) -> tuple[str, ...]:
    operations = sorted({name for graph in graphs for name in reaching_operations(graph)})
    others = [name for name in _OTHER_FORMS if (files.root / name).exists()]
    return (
        *(f"its graph holds {name}, which can reach files, the network, Python or devices" for name in operations),
        *(f"it holds {name}, a second graph that is not looked into" for name in others),
    )


def _why_not(interface: SavedModelInterface, options: LoadOptions) -> str | None:
    """Return why no conversion is worth trying, None when one is."""
    unknown = [spec.name for spec in interface.inputs if spec.datatype in ("BYTES", "INT32", "INT64")]
    if unknown and not options.sample:
        # Whether two graphs look up the same is seen only with values that they know.
        return (
            f"without sample rows nobody knows which values {', '.join(unknown[:5])} takes, so that the two cannot be "
            "compared; give some with --sample rows.json (or .csv)"
        )
    return None


def _convert(files: ArtifactFiles, options: LoadOptions, target: Path) -> str | None:
    """Convert in a process of its own, so that TensorFlow's memory and threads are no part of this one.

    Returns:
        Why there is no conversion that answers the same, None when `target` is one.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-convert-") as scratch:
        request, answer, log = (Path(scratch, name) for name in ("request.json", "answer.json", "log"))
        document = {
            "folder": str(files.root.absolute()),
            "trusted": options.trusted,
            "sample": [dict(row) for row in options.sample or ()],
            "target": str(target.absolute()),
            "answer": str(answer),
        }
        request.write_text(json.dumps(document))
        command = [sys.executable, "-m", "tidegate.runtime.savedmodel_convert", "--request", str(request)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=scratch)
            try:
                process.wait(_CONVERT_SECONDS)
            except subprocess.TimeoutExpired:
                return f"that took longer than {_CONVERT_SECONDS:g} seconds"
            finally:
                process.kill()
                process.wait()
        if not answer.exists():
            last = log.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
            return f"the conversion ended with code {process.returncode}" + (f" ({last[-1][:200]})" if last else "")
        reason = json.loads(answer.read_bytes())["reason"]
        return None if reason is None else str(reason)


class SavedModel:
    """A SavedModel on one of the two backends."""

    def __init__(self, interface: SavedModelInterface, backend: Backend, options: LoadOptions) -> None:
        self._interface = interface
        self._backend = backend
        self.signature: Signature = interface.settle(backend, options)

    def predict(self, inputs: Columns) -> Columns:
        return self._interface.predict(self._backend, inputs)

    def close(self) -> None:
        del self._backend
