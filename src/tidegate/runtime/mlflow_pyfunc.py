"""`mlflow.pyfunc`: a model as MLflow itself runs it, between our arrays and its DataFrames."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.contract.errors import InvalidInput
from tidegate.runtime.base import Array, Columns, LoadOptions, Signature, TensorSpec
from tidegate.runtime.frameworks import import_framework
from tidegate.runtime.given_inputs import specs_from_sample, specs_from_settings
from tidegate.runtime.mlflow_file import MlflowFolder
from tidegate.runtime.mlflow_schema import TENSOR_INPUT, specs_from_schema
from tidegate.runtime.python_answers import CodeFailed, outputs_from_answer, specs_from_answer
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.signatures import fixed_rows
from tidegate.runtime.writable import writable

Row = Mapping[str, Any]


def load_pyfunc(folder: MlflowFolder) -> Any:
    """Return what `mlflow.pyfunc.load_model` makes of the folder. This runs code of the folder: ask for trust before.

    Raises:
        InvalidInput: MLflow is not installed, or cannot load it.
    """
    # Serving is nobody else's business; read when MLflow is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow: Any = import_framework("mlflow", extra="mlflow", what="An MLflow Python function")
    pyfunc: Any = import_framework("mlflow.pyfunc", extra="mlflow", what="An MLflow Python function")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pyfunc.load_model(str(folder.root), suppress_warnings=True)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{folder.root.name} needs the module {error.name!r}, which is not installed here.",
            subject=str(folder.root),
            hint="Install what its requirements.txt lists into Tidegate's environment.",
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"MLflow {mlflow.__version__} cannot load {folder.root.name}: {_short(error)}.",
            subject=str(folder.root),
            hint="Its requirements.txt says which versions it was made with; the folder may be incomplete.",
        ) from error


def _short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:400].rstrip(".")


class PyfuncModel:
    """A Python function. Its code is somebody's own and was not written for several threads: one call at a time.

    Inputs are those of the signature in MLmodel; without one, those of the setting `inputs` or of a sample, whole
    numbers INT64 and others FP64. Outputs are the columns of a DataFrame, the keys of a dict, or `prediction`.
    """

    def __init__(self, pyfunc: Any, folder: MlflowFolder, options: LoadOptions) -> None:
        self._pyfunc = pyfunc
        self._pandas: Any = import_framework("pandas", extra="mlflow", what="An MLflow Python function")
        self._one_at_a_time = threading.Lock()
        rows = list(options.sample or ()) or _example_rows(folder)
        inputs, self._is_table, self._is_bare = _inputs(folder, options, rows)
        self.example: Row = rows[0] if rows else {}
        if options.signature is not None:
            self.signature = options.signature
        else:
            found = Signature("columns" if all(spec.shape == (-1,) for spec in inputs) else "tensors", inputs, ())
            self.signature = Signature(found.kind, inputs, self._outputs(found, rows))

    def predict(self, inputs: Columns) -> Columns:
        rows = len(inputs[self.signature.inputs[0].name])
        return outputs_from_answer(self._ask(inputs), rows, self.signature.outputs)

    def close(self) -> None:
        del self._pyfunc

    def _ask(self, inputs: Columns) -> Any:
        data = self._data(inputs)
        with self._one_at_a_time:
            try:
                return self._pyfunc.predict(data)
            except Exception as error:
                raise CodeFailed(f"The model failed: {_short(error)}") from error

    def _data(self, inputs: Columns) -> Any:
        """Return what `predict` takes: a DataFrame for columns, an array for a tensor without a name, else a dict."""
        if not self._is_table:
            if self._is_bare:
                return writable(inputs[self.signature.inputs[0].name])
            return {spec.name: writable(inputs[spec.name]) for spec in self.signature.inputs}
        columns = {spec.name: self._column(inputs[spec.name]) for spec in self.signature.inputs}
        return self._pandas.DataFrame(columns)

    def _column(self, values: Array) -> Any:
        # A Series of dtype object: pandas 3 would turn a bare array of texts into its own `str` type.
        return self._pandas.Series(values, dtype=object) if values.dtype == object else values

    def _outputs(self, signature: Signature, rows: Sequence[Row]) -> tuple[TensorSpec, ...]:
        self.signature = signature
        asked = list(rows[:2]) or [made_up_row(signature.inputs)]
        # Two rows tell an answer for each row from one answer for all.
        count = fixed_rows(signature) or 2
        asked = [asked[position % len(asked)] for position in range(count)]
        try:
            specs = specs_from_answer(self._ask(inputs_from_rows(signature.inputs, asked)), count)
        except CodeFailed as error:
            raise InvalidInput(
                f"The model loads, and fails on {'a sample row' if rows else 'a made-up row'}: {error.message}",
                expected=error.expected,
                got=error.got,
                hint=None if rows else "Give a few typical rows with --sample rows.json (or .csv).",
            ) from error
        fixed = fixed_rows(signature)
        if fixed is None:
            return specs
        return tuple(TensorSpec(spec.name, spec.datatype, (fixed, *spec.shape[1:])) for spec in specs)


def _inputs(
    folder: MlflowFolder, options: LoadOptions, rows: Sequence[Row]
) -> tuple[tuple[TensorSpec, ...], bool, bool]:
    """Return the inputs, whether they make a DataFrame, and whether they are one array without a name."""
    if folder.inputs is not None:
        specs, is_table = specs_from_schema(folder.inputs)
        return specs, is_table, not is_table and folder.inputs[0].get("name") is None
    given = specs_from_settings(options.settings)
    if options.signature is not None:
        specs = options.signature.inputs
    elif given is not None:
        specs = given
    elif rows:
        specs = specs_from_sample(rows, list(rows[0]), "FP64")
    else:
        raise InvalidInput(
            "The MLmodel has no signature, and so does not say what the model takes.",
            subject=str(folder.root),
            hint="Give a few typical rows with --sample rows.json (or .csv), describe the inputs in "
            "modelArtifact.settings.inputs, or log the model with a signature (mlflow.models.infer_signature).",
        )
    is_table = all(spec.shape == (-1,) for spec in specs)
    return specs, is_table, not is_table and len(specs) == 1


def _example_rows(folder: MlflowFolder) -> list[Row]:
    """Return the folder's own example as rows, one value per input."""
    table = folder.example_columns()
    if table:
        return list(table)
    tensors = {TENSOR_INPUT if name is None else name: values for name, values in folder.example_tensors().items()}
    if not tensors or len({len(values) for values in tensors.values()}) != 1:
        return []
    count = len(next(iter(tensors.values())))
    return [{name: values[index] for name, values in tensors.items()} for index in range(count)]
