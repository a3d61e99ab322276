"""How much memory a program adds at its peak to what a process has that does nothing yet, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import NamedTuple

#: What is measured comes after what every such program imports.
_AROUND = """
import atexit, sys
from tidegate.artifact.memory import PeakMemory
peak = PeakMemory()
atexit.register(lambda: print(peak.growth(), file=sys.stderr))
"""


class Ended(NamedTuple):
    """What a program did: its exit code, what it wrote to stdout and stderr, and the bytes it added at its peak."""

    code: int
    out: str
    errors: str
    peak: int


class Measured:
    """A Python program that runs; several may at once.

    Args:
        program: its text.
        words: its arguments.
    """

    def __init__(self, program: str, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AROUND + program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self) -> Ended:
        """Wait for its end."""
        try:
            out, errors = self._process.communicate(timeout=120)
        finally:
            self._process.kill()
        *told, peak = errors.splitlines()
        return Ended(self._process.returncode, out, "\n".join(told), int(peak))
