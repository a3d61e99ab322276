"""`python -m tests.runtime.mojo.fuzz`: see the package."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path


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
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    # Numba reads these when it is first imported. Machine code with checks must not get where others find it.
    os.environ["NUMBA_DISABLE_JIT" if args.kernels == "interpreted" else "NUMBA_BOUNDSCHECK"] = "1"
    os.environ["NUMBA_CACHE_DIR"] = str(args.work / "compiled")
    try:
        from tests.runtime.mojo.fuzz.guided import fuzz
    except ModuleNotFoundError as error:
        if error.name != "atheris":
            raise
        parser.exit(2, "The package atheris is missing: make fuzz-mojo installs it\n")
    random.seed(args.seed)
    return fuzz(args.work, seconds=args.seconds, interpreted=args.kernels == "interpreted", seed=args.seed)


if __name__ == "__main__":
    sys.exit(main())
