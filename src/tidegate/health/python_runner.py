"""Runs one Python entry point in a process of its own: `python python_runner.py MODULE:FUNCTION [URL]`.

Without a URL it only says whether there is such a function. What a check means by its answer is in
docs/how-to/check-health.md; the last line of standard error is the reason of a failure.
"""

from __future__ import annotations

import importlib
import sys


def main(entry_point: str, url: str | None) -> int:
    # Not this file's folder, in which modules of ours lie.
    sys.path[0] = ""
    module_name, _, name = entry_point.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
        if not callable(function):
            return _failed(f"{entry_point} is no function")
        if url is None:
            return 0
        answer = function(url)
    except Exception as error:  # noqa: BLE001 (whatever a check raises is its failure)
        return _failed(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    if answer is None or answer is True:
        return 0
    return _failed(
        "it returned False" if answer is False else f"it returned {answer!r:.100}, not True, False or nothing"
    )


def _failed(reason: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{' '.join(reason.split())}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
