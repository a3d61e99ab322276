"""The process that makes an ONNX graph of a SavedModel: `python -m tidegate.runtime.savedmodel_convert --request FILE`.

It converts, has both answer the same rows, and keeps the conversion only when no answer differs by more than the
rounding of its type. The answer's file says why there is none, or that there is one.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.onnx_session import OnnxGraph
from tidegate.runtime.rows import inputs_from_rows
from tidegate.runtime.savedmodel_compare import difference, trial_inputs
from tidegate.runtime.savedmodel_file import SIGNATURE, SavedGraph, read_saved_model
from tidegate.runtime.savedmodel_signature import SavedModelInterface, serving_graph
from tidegate.runtime.tensorflow_graph import TensorflowGraph, import_tensorflow


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one request."""
    parser = argparse.ArgumentParser(prog="python -m tidegate.runtime.savedmodel_convert", description=__doc__)
    parser.add_argument("--request", type=Path, required=True, help="JSON file that the runtime wrote")
    request = json.loads(parser.parse_args(arguments).request.read_bytes())
    # oneDNN's fused kernels make a number of a missing value where TensorFlow's own hand it on, as its operations are
    # defined; and they add up in an order of their own.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    Path(request["answer"]).write_text(json.dumps({"reason": _reason(request)}))
    return 0


def _reason(request: dict[str, Any]) -> str | None:
    """Convert; return why the conversion is not kept, None when it is."""
    folder, target = Path(request["folder"]), Path(request["target"])
    candidate = target.with_suffix(".candidate")
    graph = serving_graph(read_saved_model(folder))
    interface = SavedModelInterface(graph)
    try:
        try:
            _convert(folder, graph, candidate)
            converted = OnnxGraph(candidate, 1)
        except InvalidInput as error:
            return error.message.replace(str(candidate), "it").replace(candidate.name, "it").rstrip(".")
        except Exception as error:  # noqa: BLE001 (whatever stops it, TensorFlow still serves the model)
            return f"tf2onnx fails: {' '.join(f'{type(error).__name__}: {error}'.split())[:300]}"
        inputs, outputs = graph.signatures[SIGNATURE]
        if set(converted.inputs) - {tensor.key for tensor in inputs} or set(converted.outputs) != {
            t.key for t in outputs
        }:
            return f"its inputs and outputs became {', '.join([*converted.inputs, *converted.outputs])}"
        original = TensorflowGraph(folder, graph, 1)
        sample = inputs_from_rows(interface.inputs, request["sample"]) if request["sample"] else None
        found = difference(interface, original, converted, trial_inputs(interface, sample))
        if found is None:
            candidate.rename(target)
        return found
    finally:
        candidate.unlink(missing_ok=True)


def _convert(folder: Path, graph: SavedGraph, target: Path) -> None:
    import_tensorflow(1)
    tf2onnx: Any = import_framework("tf2onnx.convert", extra="tensorflow", what="Converting a SavedModel to ONNX")
    logging.disable(logging.WARNING)
    # The command's own interface: its functions for SavedModels are private.
    before = sys.argv
    sys.argv = ["tf2onnx", "--saved-model", str(folder), "--signature_def", SIGNATURE, "--output", str(target)]
    sys.argv += ["--tag", ",".join(graph.tags)] if graph.tags else []
    try:
        tf2onnx.main()
    finally:
        sys.argv = before
        logging.disable(logging.NOTSET)
    _normalise(target)


def _normalise(path: Path) -> None:
    """Take out what differs between two conversions of one model: the folder's name, the order of look-up tables."""
    onnx: Any = import_framework("onnx", extra="tensorflow", what="Converting a SavedModel to ONNX")
    model = onnx.load(str(path))
    model.graph.doc_string = ""
    for node in model.graph.node:
        if node.op_type != "CategoryMapper":
            continue
        attributes = {attribute.name: attribute for attribute in node.attribute}
        texts, numbers = attributes["cats_strings"], attributes["cats_int64s"]
        pairs = sorted(zip(texts.strings, numbers.ints, strict=True))
        texts.strings[:] = [text for text, _ in pairs]
        numbers.ints[:] = [number for _, number in pairs]
    path.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    sys.exit(main())
