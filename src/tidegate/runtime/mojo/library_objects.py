"""Compiles kernels to one object file, for `library_build`, which runs this as a process of its own.

python -m tidegate.runtime.mojo.library_objects FOLDER [MOJO...]

The names of compiled functions are unique in the process that compiled them, and in no other: so nothing that another
left on disk may be in the object file, and numba starts with an empty folder here. FOLDER gets `kernels.o`, and
`kernels.h`, which `library.c` includes: the code of each way to call a kernel. A line is printed per kernel.
"""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import llvmlite.binding as llvm
import numpy as np
from numba import from_dtype, types

from tidegate.runtime.mojo.load import load
from tidegate.runtime.mojo.signatures import Table, called, parsed

_PACKAGE = "tidegate.runtime.mojo"


@dataclass(frozen=True)
class _Code:
    """One way to call a kernel: the names of its code, which Python can call, and of its environment in memory."""

    kernel: str
    words: list[str]
    symbol: str
    environment: str
    constants: bytes


def main(folder: str, *models: str) -> None:
    """Write both files."""
    linked: Any = None
    codes = []
    for kernel, words in _ways(_needed(called(), models)):
        code, module = _compiled(kernel, words)
        codes.append(code)
        if linked is None:
            linked = module
        else:
            linked.link_in(module)
    (Path(folder) / "kernels.o").write_bytes(_emitted(linked, codes))
    (Path(folder) / "kernels.h").write_text(_header(codes), encoding="utf-8")


def _needed(table: Table, models: Iterable[str]) -> Table:
    """Return the part that some models call: of the modules that are imported for them. Of no models, all."""
    read = [load(path) for path in models]
    if not read:
        return table
    return {name: ways for name, ways in table.items() if f"{_PACKAGE}.{name.partition('.')[0]}" in sys.modules}


def _ways(table: Table) -> Iterator[tuple[str, list[str]]]:
    for kernel, ways in table.items():
        print(kernel, flush=True)
        for words in ways:
            yield kernel, words


def _compiled(kernel: str, words: list[str]) -> tuple[_Code, Any]:
    """Compile a kernel for some types, and return it with its optimised module of LLVM."""
    module, _, name = kernel.partition(".")
    function: Any = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name)
    signature = tuple(_type_of(word) for word in words)
    function.compile(signature)
    result = function.overloads[signature]
    constants = result.environment.consts
    if not all(isinstance(one, np.dtype) for one in constants):
        raise TypeError(f"{kernel} takes constants of the interpreter along: {constants!r}")
    description = result.fndesc
    symbols = description.llvm_cpython_wrapper_name, description.env_name
    return (
        _Code(kernel, words, *symbols, pickle.dumps(constants)),
        llvm.parse_assembly(function.inspect_llvm(signature)),
    )


def _type_of(word: str) -> Any:
    dtype, dimensions, order, writes = parsed(word)
    item, array = from_dtype(dtype), cast(Any, types.Array)
    return item if dimensions < 0 else array(item, dimensions, order, readonly=not writes)


def _emitted(module: Any, codes: Iterable[_Code]) -> bytes:
    """Return an object file for any processor of this architecture, with what cannot be called left out."""
    public = {name for code in codes for name in (code.symbol, code.environment)}
    for each in (*module.functions, *module.global_variables):
        if each.is_declaration:
            continue
        if each.name in public:
            each.visibility = "hidden"  # to others than what it is linked with
        elif each.linkage != llvm.Linkage.private:
            each.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu="generic", opt=3, reloc="pic", codemodel="default"
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    module.verify()
    found: bytes = machine.emit_object(module)
    return found


def _header(codes: list[_Code]) -> str:
    lines = [
        "typedef struct { const char *name; PyCFunctionWithKeywords code; EnvironmentObject **environment;",
        "    const char *constants; int length; } Compiled;",
    ]
    rows = []
    for place, code in enumerate(codes):
        octets = ",".join(str(one - 256 if one > 127 else one) for one in code.constants)
        lines += [
            f'extern PyObject *code_{place}(PyObject *, PyObject *, PyObject *) __asm__("{code.symbol}");',
            f'extern EnvironmentObject *environment_{place} __asm__("{code.environment}");',
            f"static const char constants_{place}[] = {{{octets}}};",
        ]
        values = f"code_{place}, &environment_{place}, constants_{place}, {len(code.constants)}"
        rows.append(f'    {{"{code.kernel}", {values}}},')
    table = json.dumps(json.dumps([[code.kernel, code.words] for code in codes]))
    lines += ["static const Compiled compiled_code[] = {", *rows, "};", f"#define COMPILED_COUNT {len(codes)}"]
    return "\n".join([*lines, f"static const char compiled_table[] = {table};", ""])


if __name__ == "__main__":
    main(*sys.argv[1:])
