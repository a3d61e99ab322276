"""Users of whose requests the log takes a share, or takes none, by turns: `python -m benchmarks.store.sender JOB.json`.

Whether a request is in the log's sample depends on its id alone, so whoever chooses ids decides about each request of
one and the same replica. Times of sending and notes are those of `benchmarks.swap.sender`.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from benchmarks.swap.sender import send

#: The share of ids that the log takes: a half, as `sample: 50%` says.
TAKEN_BELOW = 1 << 31


def ids(*, taken: bool, seed: int) -> Iterator[str]:
    """Yield ids without end, all of which a log with `sample: 50%` takes, or none."""
    chance = random.Random(seed)
    while True:
        one = f"{chance.getrandbits(96):024x}"
        if (crc32(one.encode()) < TAKEN_BELOW) == taken:
            yield one


def choice(logged: Sequence[tuple[float, float]]) -> Callable[[float], bool]:
    """Return what says of each request in turn, by when it is due, whether it is in the sample: evenly spread.

    Args:
        logged: from when on which share of the requests is in the sample, in order.
    """
    begins, shares = [begin for begin, _ in logged], [share for _, share in logged]
    owed = 0.0

    def is_taken(due: float) -> bool:
        nonlocal owed
        owed += shares[max(0, bisect_right(begins, due) - 1)]
        taken = owed >= 1
        owed -= taken
        return taken

    return is_taken


def requests(path: str, bodies: Sequence[bytes], logged: Sequence[tuple[float, float]]) -> Callable[[float], bytes]:
    """Return what makes the request that is due at a time; `logged` as in `choice`."""
    is_taken = choice(logged)
    of_turn = {turn: ids(taken=turn, seed=int(turn)) for turn in (False, True)}
    following = itertools.cycle(bodies)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-request-id: "

    def request(due: float) -> bytes:
        body = next(following)
        return f"{head}{next(of_turn[is_taken(due)])}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    return request


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_bytes())
    request = requests(job["path"], [body.encode() for body in job["bodies"]], job["logged"])
    notes = send(job["port"], request, job["rate"], job["seconds"], job["connections"], begin=job["begin"])
    np.save(job["notes"], np.asarray(notes, dtype=np.float64))


if __name__ == "__main__":
    main()
