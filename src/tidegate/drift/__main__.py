"""Reads a reference in a process of its own: `python -m tidegate.drift FILE [COLUMN …]`.

It prints one line of JSON, `{"ok": REFERENCE}` without the numbers of columns, or `{"error": …}`, and ends. Whoever
has others to look after does not wait for a large file this way, nor is it there that too little memory is left.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.drift.files import read_reference
from tidegate.drift.significance import chi_square_chance

#: What it may take of time and of address space.
SECONDS = 60
_MOST_MEMORY = 8 << 30
MOST_BYTES = 512 << 20


def main(arguments: Sequence[str]) -> int:
    """Print the reference; return 0, or 1 with an error."""
    # Native code that holds the interpreter's lock cannot be ended otherwise where whoever started this is gone.
    signal.alarm(SECONDS + 5)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    try:
        answer: dict[str, Any] = {"ok": _read(Path(arguments[0]), arguments[1:])}
    except TidegateError as error:
        answer = {"error": error.as_dict()}
    except MemoryError:
        too_large = InvalidInput(
            f"{arguments[0]} takes more memory than there is for it",
            subject=arguments[0],
            hint="write a reference of it first: tidegate drift reference DATA --out reference.json",
        )
        answer = {"error": too_large.as_dict()}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if "ok" in answer else 1


def _read(path: Path, columns: Sequence[str]) -> dict[str, Any]:
    chi_square_chance(1.0, 1)  # raises where what is needed to compare is not installed
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise InvalidInput(
            f"{path} is too large",
            subject=str(path),
            expected=f"at most {MOST_BYTES >> 20} MiB",
            hint="write a reference of it first: tidegate drift reference DATA --out reference.json",
        )
    return read_reference(path, columns).without_numbers().as_plain()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
