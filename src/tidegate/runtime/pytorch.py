"""PyTorch: programs of `torch.export` and TorchScript files, on the CPU.

Both need the user's trust. `torch.export.load` (2.13) unpickles without restriction what `weights_only` refuses, and
evaluates the sizes and conditions in the file as Python; a TorchScript file is read by a loader of its own that imports
no Python, but it is a program whose operators can read and write files, and it runs as soon as it is loaded.
PyTorch's documentation of both says to load only what one trusts.

A pickled module or state dict (`torch.save`) is recognised and refused: the one holds references to the code that made
it, the other no code at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidegate.contract.errors import InvalidInput, NotTrusted
from tidegate.runtime.base import (
    Array,
    ArtifactFiles,
    Columns,
    LoadOptions,
    Model,
    Recognition,
    Signature,
    TensorSpec,
)
from tidegate.runtime.frameworks import import_framework, limit_threads
from tidegate.runtime.pickle_scan import recognise_pickle
from tidegate.runtime.pytorch_file import TENSOR_PARTS, TorchFile, read_torch_file
from tidegate.runtime.pytorch_programs import Program, datatype_of, exported, named, script, short
from tidegate.runtime.rows import inputs_from_rows, made_up_row
from tidegate.runtime.settings import require_known

_EXPORT = "torch.export.save(torch.export.export(model.eval(), (example,), dynamic_shapes=…), 'model.pt2')"
_SCRIPT = "torch.jit.script(model.eval()).save('model.pt')"


class PytorchRuntime:
    """TorchScript files and `torch.export` programs."""

    name = "pytorch"
    packages = ("torch", "numpy")

    def recognise(self, files: ArtifactFiles) -> Recognition | None:
        if files.is_folder:
            return None
        found = read_torch_file(files.root)
        if found is None:
            pickled = recognise_pickle(files, self.name)
            return None if pickled is None else Recognition(self.name, "torch-pickle", servable=False)
        if found.form not in ("torchscript", "torch-export"):
            # Trust would not help: it is refused when it is to be loaded, with what to do instead.
            return Recognition(self.name, found.form, servable=False)
        return Recognition(
            runtime=self.name,
            format=found.form,
            framework_version=found.torch_version,
            needs_trust=True,
            reasons=found.reasons,
            dangerous=found.dangerous,
        )

    def load(self, files: ArtifactFiles, options: LoadOptions) -> Model:
        found = None if files.is_folder else read_torch_file(files.root)
        if found is None or found.form not in ("torchscript", "torch-export"):
            raise _refused(files, found)
        if not options.trusted or found.dangerous:
            raise NotTrusted(
                f"{files.root.name} is a {found.form} file, and loading it would run code from it.",
                subject=str(files.root),
                got="; ".join(found.dangerous or found.reasons[:10]),
            )
        require_known(options.settings, ("inputs",), self.name)
        limit_threads(options.threads)
        torch: Any = import_framework("torch", extra="pytorch", what="A PyTorch model")
        _limit_torch(torch, options.threads)
        program = exported(torch, files, options) if found.form == "torch-export" else script(torch, files, options)
        return PytorchModel(torch, program, options)


def _refused(files: ArtifactFiles, found: TorchFile | None) -> InvalidInput:
    name, subject = files.root.name, str(files.root)
    if found is not None and found.form == "aotinductor":
        return InvalidInput(
            f"{name} is compiled for the machine that made it (AOTInductor).",
            subject=subject,
            expected="a program that any machine can run",
            hint=f"Save the exported program itself: {_EXPORT}.",
        )
    pickled = found is not None or recognise_pickle(files, "pytorch") is not None
    if not pickled:
        return InvalidInput(f"{name} is not a PyTorch model.", subject=subject)
    modules = [name for name in (found.imports if found else ()) if not TENSOR_PARTS.fullmatch(name)]
    if found is not None and not modules:
        return InvalidInput(
            f"{name} holds tensors by name (a state dict) and no model: what to compute with them is in the code that "
            "made it.",
            subject=subject,
            expected="a program with its weights",
            hint=f"Build the model, call load_state_dict, and export it: {_EXPORT}, or {_SCRIPT}.",
        )
    return InvalidInput(
        f"{name} is a pickled module: it refers to the Python code of the model, which it does not hold.",
        subject=subject,
        expected="a program with its weights",
        got=", ".join(modules[:5]) or None,
        hint=f"Where that code is, load it with torch.load and export it: {_EXPORT}, or {_SCRIPT}.",
    )


def _limit_torch(torch: Any, threads: int) -> None:
    torch.set_num_threads(max(1, threads))
    # Can be set once, and not after the first parallel work: a second model in the process keeps what the first set.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)


class PytorchModel:
    """A program. Inputs are named as its arguments; outputs `output`, or dict keys, or `output_0`, `output_1`, …

    A program with a fixed batch (first dimension of its signature's inputs not -1) takes that many rows, or a multiple
    of them, which it is given batch by batch.
    """

    def __init__(self, torch: Any, program: Program, options: LoadOptions) -> None:
        self._torch, self._program = torch, program
        self._batch = _fixed_batch(program.inputs)
        if options.signature is not None:
            self.signature = options.signature
        else:
            outputs = program.outputs if program.outputs is not None else self._tried(options)
            is_table = all(spec.shape == (-1,) for spec in program.inputs)
            self.signature = Signature("columns" if is_table else "tensors", program.inputs, outputs)
            for spec in outputs:
                _require_rows(spec, self._batch)

    def predict(self, inputs: Columns) -> Columns:
        rows = len(inputs[self._program.inputs[0].name])
        if self._batch is None or rows == self._batch:
            return self._run(inputs)
        if rows == 0 or rows % self._batch:
            raise InvalidInput(
                f"The model was exported for batches of {self._batch} rows.",
                subject=self._program.inputs[0].name,
                expected=f"{self._batch} rows, or a multiple",
                got=f"{rows} rows",
                hint="Export it with a dynamic first dimension: dynamic_shapes={'x': {0: torch.export.Dim('batch')}}.",
            )
        parts = [
            self._run({name: values[start : start + self._batch] for name, values in inputs.items()})
            for start in range(0, rows, self._batch)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        del self._program

    def _run(self, inputs: Columns) -> dict[str, Array]:
        torch = self._torch
        with torch.inference_mode():
            # Copies: an array can be read-only, and a program may change its input.
            tensors = {spec.name: torch.tensor(inputs[spec.name]) for spec in self._program.inputs}
            try:
                answer = self._program.call(tensors)
            except AssertionError as error:  # how a program of torch.export says that an input does not fit
                raise InvalidInput(f"The inputs do not fit the model: {error}.", got=_shapes(tensors)) from error
            return {name: self._array(name, value) for name, value in named(answer)}

    def _array(self, name: str, value: Any) -> Array:
        torch = self._torch
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_quantized:
            got = type(value).__name__ if not isinstance(value, torch.Tensor) else "a sparse or quantized tensor"
            raise InvalidInput(f"The output {name!r} is no dense tensor.", subject=name, expected="a tensor", got=got)
        datatype_of(name, str(value.dtype), "output")
        dense = value.float() if value.dtype == torch.bfloat16 else value
        array: Array = dense.detach().cpu().resolve_neg().numpy()
        return array

    def _tried(self, options: LoadOptions) -> tuple[TensorSpec, ...]:
        """Type the outputs from one run; a size behind the rows is only fixed when all those of the inputs are."""
        inputs = self._program.inputs
        rows: list[Mapping[str, Any]] = list(options.sample or ())[:2] or [made_up_row(inputs)]
        if self._batch is not None:
            rows = [rows[position % len(rows)] for position in range(self._batch)]
        try:
            answer = self._run(inputs_from_rows(inputs, rows))
        except InvalidInput:
            raise
        except Exception as error:
            raise InvalidInput(
                "The model fails on a sample row." if options.sample else "The model fails on a made-up row.",
                got=short(error),
                hint="Check the types and shapes: whole numbers in a sample are INT64, 1.0 is FP32. The setting "
                "`inputs` says it outright.",
            ) from error
        fixed = all(size > 0 for spec in inputs for size in spec.shape[1:])
        specs = []
        for name, array in answer.items():
            if array.ndim == 0 or len(array) != len(rows):
                raise _no_rows(name, list(array.shape), len(rows))
            datatype = datatype_of(name, f"torch.{array.dtype.name}", "output")
            tail = array.shape[1:] if fixed else (-1,) * (array.ndim - 1)
            specs.append(TensorSpec(name, datatype, (self._batch or -1, *tail)))
        return tuple(specs)


def _fixed_batch(inputs: Sequence[TensorSpec]) -> int | None:
    """Return the batch size that a program was made for, None when it takes any."""
    sizes = {spec.shape[0] for spec in inputs}
    if sizes == {-1}:
        return None
    if len(sizes) != 1:
        raise InvalidInput(
            "The inputs of the model differ in the number of rows that they take.",
            expected="the same first dimension in all of them",
            got=", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs),
            hint="Export it with the same dynamic first dimension for every input.",
        )
    return sizes.pop()


def _require_rows(spec: TensorSpec, batch: int | None) -> None:
    if not spec.shape or spec.shape[0] != (-1 if batch is None else batch):
        raise _no_rows(spec.name, list(spec.shape), batch or -1)


def _no_rows(name: str, got: list[int], rows: int) -> InvalidInput:
    return InvalidInput(
        f"The output {name!r} does not answer row by row.",
        subject=name,
        expected=f"a first dimension of {rows}, as in the inputs",
        got=f"shape {got}",
        hint="Let the model return tensors whose first dimension is the batch.",
    )


def _shapes(tensors: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in tensors.items())
