"""Writes records into the prediction log by its own sink: `python -m benchmarks.store.writer RATE SECONDS`.

Records are those of a replica that answers one flight per request; they are made beforehand, but for time and id. The
store is where TIDEGATE_STORE says. RATE is in records a second, 0 for as many as it takes. It begins when it reads a
line, and tells as JSON what was written.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime

import orjson

from benchmarks.delivery.models import rows
from tidegate.telemetry.opening import store
from tidegate.telemetry.sink import NotAllWritten

#: What the log hands over at once, at most.
AT_ONCE = 500


def main() -> None:
    rate, seconds = float(sys.argv[1]), float(sys.argv[2])
    sink = store("")
    known = [
        {"inputs": {name: [value] for name, value in row.items()}, "outputs": {"prediction": [0.25]}} for row in rows()
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    begun, worked = time.perf_counter(), time.process_time()
    number = failed = 0
    while True:
        since = time.perf_counter() - begun
        due = AT_ONCE if rate == 0 else min(AT_ONCE, int(rate * min(since, seconds)) - number)
        if due > 0:
            head = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "deployment": "bench", "revision": 1}
            records = [
                orjson.dumps({**head, "rows": 1, "request_id": f"{begun}-{place}", **known[place % len(known)]})
                for place in range(number, number + due)
            ]
            try:
                sink.write(records)
            except NotAllWritten as error:
                failed += error.failed
            number += due
        if since >= seconds:
            break
        if rate:
            time.sleep(_pause(rate, number, since, seconds, sink.gather_seconds))
    taken = time.perf_counter() - begun
    sink.close()
    told = {"written": number - failed, "failed": failed, "seconds": taken, "cpu": time.process_time() - worked}
    print(json.dumps(told), flush=True)


def _pause(rate: float, number: int, since: float, seconds: float, gather_seconds: float) -> float:
    """Return for how long the log gathers: until there are as many as it hands over at once, or it ends."""
    return max(0.0, min(gather_seconds, (number + AT_ONCE) / rate - since, seconds - since))


if __name__ == "__main__":
    main()
