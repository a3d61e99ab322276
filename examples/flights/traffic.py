"""The load generator as a process beside the demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from examples.flights.load import Plan, Record, read_records

#: Requests under way may take as long as their timeout; then the generator has ended.
END_SECONDS = 20.0


def write_bodies(rows: list[dict[str, Any]], path: Path) -> None:
    """Write one request of one row per line."""
    path.write_bytes(b"".join(orjson.dumps([row], option=orjson.OPT_APPEND_NEWLINE) for row in rows))


def command(plan: Plan, bodies: Path, records: Path) -> list[str]:
    """Return the command line that carries out the plan."""
    options = {
        "--url": plan.url,
        "--bodies": bodies,
        "--out": records,
        "--rate": f"{plan.rate:g}",
        "--seconds": f"{plan.seconds:.1f}",
        "--arrivals": plan.arrivals,
        "--timeout": f"{plan.timeout_seconds:g}",
        "--seed": plan.seed,
    }
    words = [str(word) for option in options.items() for word in option]
    return [sys.executable, "-m", "examples.flights.load", *words]


class Traffic:
    """A load generator that runs; a context manager that ends it."""

    def __init__(self, plan: Plan, bodies: Path, records: Path) -> None:
        self._records = records
        self._process = subprocess.Popen(
            command(plan, bodies, records),
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def so_far(self) -> list[Record]:
        """Return the records written up to now; the newest half second may be missing."""
        return read_records(self._records) if self._records.exists() else []

    def stop(self) -> list[Record]:
        """Stop sending, wait for the answers that are still to come, and return every record, in order. Call it once.

        Raises:
            RuntimeError: the generator failed, or has lost a request.
        """
        self._process.terminate()
        printed, _ = self._process.communicate(timeout=END_SECONDS)
        if self._process.returncode != 0:
            raise RuntimeError(f"the load generator ended with exit code {self._process.returncode}")
        records = sorted(read_records(self._records), key=lambda record: record.number)
        if [record.number for record in records] != list(range(int(printed))):
            raise RuntimeError(f"{int(printed)} requests were sent and {len(records)} recorded")
        return records

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._process.kill()
        self._process.wait()
