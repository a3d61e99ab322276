"""Compare Tidegate's reader of MOJOs with H2O's own scorer and write benchmarks/results/mojo.{json,md}.

python -m benchmarks.mojo    all models, seven rounds: about 10 minutes, and 5 more to train them once

Needs a JDK 17 (`java` and `javac`) and H2O, of which an environment is made from requirements.txt unless `--h2o` names
one. With `--image`, the start of a container is timed, too. The image is made, once the models are, by

tidegate pack .bench/mojo/models/gbm-small.zip --tag gbm-small:1
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.mojo.goals import judged
from benchmarks.mojo.measure import Commands, measured, started
from benchmarks.mojo.models import BASE, h2o_python, train
from benchmarks.mojo.page import TITLES, as_markdown
from benchmarks.mojo.serving import contained, served
from benchmarks.serving.surroundings import load_average, machine

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_RESULTS = _HERE.parent / "results"
_ON_PROFILES = frozenset({"glm", "dl"})


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    names = given.models.split(",") if given.models else list(TITLES)
    rounds = given.rounds
    python = Path(given.h2o) if given.h2o else h2o_python()
    models = train(python)
    commands = Commands(_java(python), (sys.executable, "-m", "benchmarks.mojo.scoring"), _ROOT)
    library = _library()
    row = _row(models)
    before, begun = load_average(), time.perf_counter()
    found: dict[str, Any] = {}
    for name in names:
        print(f"measuring {name} …", flush=True)
        files = models / f"{name}.zip", models / f"{'profiles' if name in _ON_PROFILES else 'events'}.csv"
        found[name] = measured(commands, *files, rounds)
        found[name]["start"] = started(commands, *files, rounds, library)
        found[name]["features"] = _features(files[0])
    print("starting servers …", flush=True)
    serve = served(models / "gbm-small.zip", row, rounds)
    container = contained(given.image, row, rounds) if given.image else None
    run = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m benchmarks.mojo"
        + "".join(
            f" --{name} {getattr(given, name)}" for name in ("models", "rounds", "image") if getattr(given, name)
        ),
        "revision": _revision(),
        "seconds": time.perf_counter() - begun,
        "rounds": rounds,
        "machine": machine(),
        "java": _java_version(),
        "h2o": "3.46.0.11",
        "numba": version("numba"),
        "load_average": {"before": before, "after": load_average()},
        "serve": serve,
        "container": container,
        "goals": [asdict(goal) for goal in judged(found, container)],
        "models": found,
    }
    text = as_markdown(run)
    print(text)
    (Path(given.results) / "mojo.json").write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    (Path(given.results) / "mojo.md").write_text(text, encoding="utf-8")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mojo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed in turn (7)")
    parser.add_argument("--results", default=str(_RESULTS), help="folder for mojo.json and mojo.md")
    parser.add_argument("--models", help=f"models, with commas: {', '.join(TITLES)}")
    parser.add_argument("--h2o", metavar="PYTHON", help="the interpreter of an environment that has H2O")
    parser.add_argument("--image", help="an image that `tidegate pack` made of gbm-small")
    return parser.parse_args(arguments)


def _library() -> Path:
    """Return the folder of the library of all kernels, made of these sources."""
    folder = BASE / "kernels"
    shutil.rmtree(folder, ignore_errors=True)
    print("compiling the library of all kernels …", flush=True)
    made = f"from tidegate import mojo; list(mojo.compile_library({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", made], check=True)
    return folder


def _row(models: Path) -> dict[str, Any]:
    """Return a row that the small model is asked."""
    with (models / "events.csv").open(encoding="utf-8", newline="") as stream:
        cells = next(csv.DictReader(stream))
    from tidegate import mojo

    row = {
        spec.name: cells.get(spec.name) or None if spec.datatype == "BYTES" else float(cells.get(spec.name) or "nan")
        for spec in mojo.load(models / "gbm-small.zip").signature.inputs
    }
    return {name: None if value != value else value for name, value in row.items()}  # noqa: PLR0124


def _java(python: Path) -> tuple[str, ...]:
    """Return the command of H2O's scorer, compiled. Ends the program where there is no JDK."""
    if shutil.which("javac") is None or shutil.which("java") is None:
        raise SystemExit("there is no JDK: `java` and `javac` of version 17 are needed")
    asked = "import h2o, os; print(os.path.join(os.path.dirname(h2o.__file__), 'backend', 'bin', 'h2o.jar'))"
    jar = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    classes = BASE / "java"
    classes.mkdir(parents=True, exist_ok=True)
    subprocess.run(["javac", "-cp", jar, "-d", classes, _HERE / "Genmodel.java"], check=True)
    return "java", "-cp", f"{jar}:{classes}", "Genmodel"


def _java_version() -> str:
    said = subprocess.run(["java", "-version"], check=True, capture_output=True, text=True).stderr.splitlines()
    return said[1] if len(said) > 1 else "Java"


def _features(model: Path) -> int:
    from tidegate import mojo

    return len(mojo.load(model).fields)


def _revision() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=_ROOT, check=False, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
