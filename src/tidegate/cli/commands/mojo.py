"""`tidegate mojo`: H2O's models in a terminal, without a JVM."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.contract.errors import InvalidInput

if TYPE_CHECKING:
    from tidegate.mojo import Verification

#: Relative to H2O's number: what sums in another order come to.
_TOLERANCE = 1e-12
_SHOWN_LEVELS = 6

Mojo = Annotated[
    str, typer.Argument(metavar="MOJO", help="The zip that H2O wrote, or its unpacked folder.", show_default=False)
]
Rows = Annotated[
    str, typer.Argument(metavar="ROWS", help="CSV with a line of names; - for standard input.", show_default=False)
]


class Form(StrEnum):
    """How predictions are written."""

    CSV = "csv"
    JSON = "json"


def inspect(model: Mojo, output: OutputOption = Output.TEXT) -> None:
    """Say what a MOJO is: algorithm, version, inputs with their levels, outputs, trees, threshold, memory.

    What Tidegate cannot score is told, too, with the reason.

    $ tidegate mojo inspect churn.zip
    """
    from tidegate.mojo import describe

    told = describe(model)
    if output is Output.JSON:
        print_json(told)
        return
    say(*_facts(told))
    if told["inputs"] is not None:
        say("")
        console().print(_inputs_table(told["inputs"]))
        say("", f"answers with {_some(told['outputs'])}")


def predict(
    model: Mojo,
    rows: Rows,
    *,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Where to write.", show_default="standard output"),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", metavar="", help="A level that the training did not have is an error."),
    ] = False,
    invalid_as_missing: Annotated[
        bool,
        typer.Option("--invalid-as-missing", metavar="", help="A text that is no number is a missing value."),
    ] = False,
    reconstruct: Annotated[
        bool,
        typer.Option("--reconstruct", metavar="", help="The values that the factors of a low rank model stand for."),
    ] = False,
    anomaly: Annotated[
        bool,
        typer.Option(
            "--anomaly", metavar="", help="The mean squared error with which an autoencoder gives a row back."
        ),
    ] = False,
    threads: Annotated[int, typer.Option("--threads", help="Threads that score, each a part of the rows.", min=1)] = 1,
    output: Annotated[Form, typer.Option("--output", help="csv, or json for one object per line.")] = Form.CSV,
) -> None:
    """Score the rows of a CSV file, in the columns and with the numbers of H2O's own tool.

    Cells that are empty, NA, N/A or - hold nothing, as they do for H2O. Columns that the model does not know are
    ignored.

    $ tidegate mojo predict churn.zip customers.csv --out scores.csv
    $ tidegate mojo predict churn.zip customers.csv --output json | head
    """
    from tidegate.mojo import load, score_csv

    loaded = load(model)
    with _source(rows) as source, _target(out) as target:
        count = score_csv(
            loaded,
            source,
            target,
            name="standard input" if rows == "-" else rows,
            strict=strict,
            invalid_as_missing=invalid_as_missing,
            as_json=output is Form.JSON,
            reconstruct=reconstruct,
            anomaly=anomaly,
            threads=threads,
            lacking=_note_lacking,
        )
    if out is not None:
        note(f"{count:,} rows scored.")
    for column, unseen in sorted(loaded.unseen_levels.items()):
        values = "1 value is" if unseen == 1 else f"{unseen:,} values are"
        note(f"column {column}: {values} no level of the training and scored as missing")


def verify(
    model: Mojo,
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="CSV with a line of names.", show_default=False)],
    *,
    jar: Annotated[
        str | None,
        typer.Option(
            "--jar",
            metavar="FILE",
            help="h2o.jar or h2o-genmodel.jar.",
            show_default="the one in the installed package h2o",
        ),
    ] = None,
    java: Annotated[
        str | None,
        typer.Option("--java", metavar="FILE", help="The program.", show_default="JAVA_HOME's, or the one in the PATH"),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Compare Tidegate's scores with those of H2O's Java scorer, double by double, where there is Java.

    Exit code 1 when a label differs, or a number by more than 1e-12 of itself. For a few models H2O's Java scorer is
    known to be wrong: that is told then, with the reason.

    $ tidegate mojo verify churn.zip customers.csv --jar h2o-genmodel.jar
    """
    from tidegate import mojo

    found = mojo.verify(model, rows, jar=jar, java=java)
    agrees = found.agrees(_TOLERANCE)
    if output is Output.JSON:
        print_json(_document(found, agrees=agrees))
    else:
        console().print(_outputs_table(found))
        say("", f"{found.rows:,} rows: Tidegate and H2O {'agree' if agrees else 'differ'}.")
        if found.left_out:
            say(f"Not compared, since H2O's tool does not tell them: {', '.join(found.left_out)}.")
        if found.fault is not None and not agrees:
            say(
                f"H2O's Java scorer is known to be wrong for this model: {found.fault}.",
                "Tidegate answers as H2O's cluster does.",
            )
    return ExitCode.OK if agrees else ExitCode.UNEXPECTED


def to_onnx(
    model: Mojo,
    *,
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to write the graph.", show_default=False)],
) -> None:
    """Write a MOJO as an ONNX graph in double precision, with the inputs and outputs of its signature.

    The graph and the model score a thousand rows first, at every level and on both sides of thresholds. A graph that
    differs by more than 1e-12 of the largest number of a row, or in a label, is not written. Needs the packages onnx
    and onnxruntime.

    $ tidegate mojo to-onnx churn.zip --out churn.onnx
    """
    from tidegate.mojo import to_onnx as export

    target = Path(out).expanduser()
    if not target.parent.is_dir():
        raise InvalidInput(f"There is no folder {target.parent}.", subject=str(target))
    found = export(model, target)
    note(f"{target}: {found.rows:,} rows compared, largest difference {found.worst:.2g} of a row's largest number")
    if found.ties:
        note(
            f"{found.ties:,} rows have several classes with the highest probability: H2O draws one of them by the "
            "row's bits, and the graph predicts the first"
        )


def compile_kernels(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MOJO...", help="The models.", show_default="tiny ones of the common kinds"),
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Make a library of the kernels of these models in a folder, or of those of all models; it takes a C "
            "compiler.",
        ),
    ] = None,
) -> None:
    """Compile what scores models and keep the machine code on disk, so that no later process waits for that.

    It is kept in the folder of the environment variable NUMBA_CACHE_DIR, else beside the installed code, else in the
    user's cache. Run it when an image is built. The code is that of the processor it runs on: with
    NUMBA_CPU_NAME=generic, here and where models are scored, it is of any.

    With --library it becomes one file, of code for any processor of the architecture, and where TIDEGATE_MOJO_LIBRARY
    names its folder, models are scored without numba and LLVM, which need not even be installed. The file fits this
    very release of Tidegate, and this Python. It is made on Linux alone.

    $ tidegate mojo compile
    $ tidegate mojo compile churn.zip
    $ tidegate mojo compile --library /opt/tidegate/kernels
    """
    from tidegate import mojo

    begun = time.perf_counter()
    if library is not None:
        for name, seconds in mojo.compile_library(library, models or ()):
            say(f"{name}: {seconds:.1f} s")
        say(f"{time.perf_counter() - begun:.1f} s. The library is in {library}: set TIDEGATE_MOJO_LIBRARY to it.")
        return
    for name, seconds in mojo.compile_kernels(models or ()):
        say(f"{name}: {seconds:.1f} s")
    say(f"{time.perf_counter() - begun:.1f} s. The machine code is in {mojo.cache_folder()}.")


def _note_lacking(names: Sequence[str]) -> None:
    which, are = ("column", "is") if len(names) == 1 else ("columns", "are")
    note(f"the file lacks the model's {which} {_some(names)}, which {are} scored as left out")


@contextmanager
def _source(file: str) -> Iterator[TextIO]:
    if file == "-":
        sys.stdin.reconfigure(encoding="utf-8-sig", newline="")  # type: ignore[union-attr]
        yield sys.stdin
        return
    path = Path(file).expanduser()
    try:
        stream = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", subject=str(path)) from error
    with stream:
        yield stream


@contextmanager
def _target(file: str | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(file).expanduser()
    # What is no file cannot be replaced by one: a pipe, a terminal.
    written = path.with_name(f".{path.name}.{os.getpid()}") if path.is_file() or not path.exists() else path
    try:
        stream = written.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}", subject=str(path)) from error
    try:
        with stream:
            yield stream
        if written != path:
            written.replace(path)
    finally:
        if written != path:
            written.unlink(missing_ok=True)


def _facts(told: Mapping[str, Any]) -> list[str]:
    memory = told["memory_bytes"]
    facts = {
        "algorithm": told["algorithm"],
        "category": told["category"],
        "MOJO version": f"{told['mojo_version']:.2f}",
        "H2O version": told["h2o_version"],
        "created": told["created"],
        "features": told["features"],
        "encoding": told["encoding"],
        "response": told["response"],
        "classes": None if told["classes"] is None else _some(told["classes"]),
        "threshold": told["threshold"],
        "offset column": told["offset_column"],
        "trees": told["trees"],
        "memory": None if memory is None else _size(memory),
        "not scored": told["problem"],
    }
    return [f"{name:<14} {value}" for name, value in facts.items() if value is not None]


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_LEVELS])
    return shown if len(names) <= _SHOWN_LEVELS else f"{shown}, … ({len(names):,})"


def _inputs_table(inputs: list[Mapping[str, Any]]) -> Any:
    from tidegate.cli.render import listing

    table = listing(is_terminal(), "INPUT", "TAKES", "LEVELS")
    for one in inputs:
        levels = one["levels"]
        table.add_row(one["name"], "number" if levels is None else "text", "-" if levels is None else _some(levels))
    return table


def _outputs_table(found: Verification) -> Any:
    from tidegate.cli.render import listing

    table = listing(is_terminal(), "OUTPUT", "ROWS THAT DIFFER", "LARGEST DIFFERENCE", "IN ROW")
    for one in found.outputs:
        worst = "-" if one.is_label or not one.differing else f"{one.worst:.2g}"
        table.add_row(one.name, f"{one.differing:,}", worst, "-" if one.row is None else str(one.row + 1))
    return table


def _document(found: Verification, *, agrees: bool) -> dict[str, Any]:
    outputs = [
        {
            "name": one.name,
            "differing": one.differing,
            # JSON has no infinity.
            "worst": None if one.is_label or one.worst == float("inf") else one.worst,
            "row": None if one.row is None else one.row + 1,
        }
        for one in found.outputs
    ]
    return {
        "rows": found.rows,
        "agrees": agrees,
        "tolerance": _TOLERANCE,
        "outputs": outputs,
        "not_compared": list(found.left_out),
        "known_fault": found.fault,
    }
