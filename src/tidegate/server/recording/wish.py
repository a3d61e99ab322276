"""What somebody who watches a rollout wants of this replica: a share of its requests, until a time.

Who wants it writes a file into the replica's folder, `{"share": 0.2, "until": SECONDS SINCE 1970}`. It lapses by
itself: whoever asked may be killed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time

#: Between two looks for the wish.
LOOK_SECONDS = 0.5
_MOST_BYTES = 4096

log = logging.getLogger("tidegate.server")


class Wish:
    """The wish in one file.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time) -> None:
        self._path = path
        self._clock = clock
        self._looked_at = float("-inf")

    def is_due(self) -> bool:
        """Say whether it is time to look again."""
        return monotonic() - self._looked_at >= LOOK_SECONDS

    def share(self) -> float:
        """Look, and return the share that is wanted now, 0 to 1; 0 for none."""
        self._looked_at = monotonic()
        try:
            with self._path.open("rb") as stream:
                wish = json.loads(stream.read(_MOST_BYTES))
            share, until = float(wish["share"]), float(wish["until"])
        except FileNotFoundError:
            return 0.0
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be read: %s", self._path.name, error)
            return 0.0
        return min(max(share, 0.0), 1.0) if self._clock() < until else 0.0
