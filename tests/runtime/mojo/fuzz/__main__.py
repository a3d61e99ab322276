"""`python -m tests.runtime.mojo.fuzz`: see the package."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

_STATE = "state.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.mojo.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument(
        "--kernels",
        choices=("interpreted", "checked"),
        default="interpreted",
        help="interpreted: seen by the fuzzer, and an index beyond an array is an error; checked: compiled, with a "
        "check of every index, ten times as fast",
    )
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "tidegate-fuzz-mojo")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="has fuzz-mojo.json and .md, which get the run")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.exit(2, "The package atheris is missing: make fuzz-mojo installs it\n")
    args.work.mkdir(parents=True, exist_ok=True)
    return _fuzz(args) if args.in_this_process else _watch(args)


def _watch(args: argparse.Namespace) -> int:
    """Fuzz in a process of its own, which libFuzzer ends in its own ways, and record what came of it."""
    state = args.work / _STATE
    state.unlink(missing_ok=True)
    # Numba reads these when it is first imported. Machine code with checks must not get where others find it.
    switch = "NUMBA_DISABLE_JIT" if args.kernels == "interpreted" else "NUMBA_BOUNDSCHECK"
    environment = {**os.environ, switch: "1", "NUMBA_CACHE_DIR": str(args.work / "compiled")}
    command = [sys.executable, "-m", "tests.runtime.mojo.fuzz", "--in-this-process", "--seconds", str(args.seconds)]
    command += ["--kernels", args.kernels, "--work", str(args.work), "--seed", str(args.seed)]
    at = datetime.now(UTC).isoformat(timespec="seconds")
    with subprocess.Popen(command, env=environment) as process:
        while process.returncode is None:
            with contextlib.suppress(KeyboardInterrupt):  # the process has it as well, and ends
                process.wait()
    if args.record is not None and state.exists():
        from tests.runtime.mojo.fuzz.corpus import FINDINGS
        from tests.runtime.mojo.fuzz.record import FuzzRun, add

        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        run = FuzzRun(at=at, kernels=args.kernels, seed=args.seed, peak_bytes=peak, **json.loads(state.read_text()))
        add(args.record, run, sorted(path.stem for path in FINDINGS.glob("*.zip")))
    return process.returncode


def _fuzz(args: argparse.Namespace) -> int:
    from tests.runtime.mojo.fuzz.guided import fuzz

    random.seed(args.seed)
    return fuzz(
        args.work,
        seconds=args.seconds,
        interpreted=args.kernels == "interpreted",
        seed=args.seed,
        state=args.work / _STATE,
    )


if __name__ == "__main__":
    sys.exit(main())
