"""Reads the log of predictions in a process of its own: `python -m tidegate.controller.drift.log_process < JOB`.

It takes one line of JSON, a `Job`, prints one, `{"ok": {ASPECT: …}}` or `{"error": …}`, and ends. It has the lowest
priority and a bound on memory and time, so that what serves beside it does not wait, nor the controller, whose memory
scikit-learn never enters.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from tidegate.contract.drift import Drift
from tidegate.contract.errors import InvalidInput, TidegateError
from tidegate.drift.aspects import Aspect, Read, read_performance, read_quality, read_together
from tidegate.drift.labelled import Case, Choice, Kind
from tidegate.drift.quality import Limits
from tidegate.drift.reading import Policy
from tidegate.drift.significance import alpha_of_look
from tidegate.store.address import parse_address
from tidegate.store.administration import opened_as_is
from tidegate.store.database import Database
from tidegate.store.predictions import Prediction, Wanted, count, last, with_actual

#: Of the clock: with the lowest priority little of it may be its own.
SECONDS = 300
_MOST_MEMORY = 4 << 30
#: Requests of a time; of more the last are taken.
MOST_REQUESTS, MOST_INPUTS = 20_000, 5_000
#: The lowest priority that there is.
_NICE = 19


@dataclass(frozen=True)
class Job:
    """What is to be read.

    Attributes:
        store: where the log is; it may hold a password, so it is told where nobody else reads it.
        drift: the `drift` of the request document.
        reference, current, recent: times, each its first moment and the one behind its last: what is compared with, and
            what quality is of, and performance and all inputs together.
        looks: by aspect, the number that its reading will have, from 1.
    """

    store: str
    deployment: str
    revision: int
    drift: dict[str, Any]
    reference: tuple[str, str]
    current: tuple[str, str]
    recent: tuple[str, str]
    looks: dict[str, int]

    def line(self) -> bytes:
        """Return what the process takes."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: str) -> Self:
        """Read what `line` wrote."""
        return cls(**json.loads(line))


def main() -> int:
    """Read a job, print what was found; return 0, or 1 with an error."""
    # Native code that holds the interpreter's lock cannot be ended otherwise where whoever started this is gone.
    signal.alarm(SECONDS + 5)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    os.nice(_NICE)
    try:
        found = read(Job.of(sys.stdin.readline()))
        answer: dict[str, Any] = {"ok": {str(aspect): one.as_dict() for aspect, one in found.items()}}
    except TidegateError as error:
        answer = {"error": error.as_dict()}
    except MemoryError:
        too_large = InvalidInput(
            "the log of predictions takes more memory than there is for it",
            subject="drift.quality",
            expected=f"{_MOST_MEMORY >> 30} GiB at most for {MOST_REQUESTS:,} requests",
        )
        answer = {"error": too_large.as_dict()}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if "ok" in answer else 1


def read(job: Job) -> dict[Aspect, Read]:
    """Return what is found of each aspect that is asked for.

    Raises:
        TidegateError: the store cannot be read.
    """
    drift = Drift.model_validate(job.drift)
    with opened_as_is(parse_address(job.store)) as database:
        reference, current, recent = (_wanted(job, span) for span in (job.reference, job.current, job.recent))
        found = _read_answers(database, job, drift, (reference, current, recent))
        if drift.together:
            sides = [
                [one.inputs for one in last(database, wanted, MOST_INPUTS, "inputs")] for wanted in (reference, recent)
            ]
            # Columns one by one have the other half.
            alpha = alpha_of_look(drift.alpha.ratio / 2, job.looks[Aspect.TOGETHER])
            policy = Policy(drift.moderate, drift.large, alpha)
            found[Aspect.TOGETHER] = read_together(sides[0], sides[1], drift.columns, policy)
    return found


def _read_answers(
    database: Database, job: Job, drift: Drift, times: tuple[Wanted, Wanted, Wanted]
) -> dict[Aspect, Read]:
    quality = drift.quality
    kind = None if quality.kind is None else Kind(quality.kind)
    choice = Choice(quality.answer, quality.scores, quality.classes, quality.positive, kind)
    alphas = {
        aspect: alpha_of_look(quality.alpha.ratio / 2, job.looks[aspect])
        for aspect in (Aspect.QUALITY, Aspect.PERFORMANCE)
    }
    reference, current, recent = times
    known = [_cases(with_actual(database, wanted, MOST_REQUESTS)) for wanted in (reference, current)]
    limits = Limits(quality.drop, quality.rise.ratio, alphas[Aspect.QUALITY])
    logged = count(database, reference), count(database, current)
    answers = _cases(last(database, recent, MOST_REQUESTS, "outputs"))
    return {
        Aspect.QUALITY: read_quality(known[0], known[1], logged, choice, limits),
        Aspect.PERFORMANCE: read_performance(known[0], answers, choice, quality.drop, alphas[Aspect.PERFORMANCE]),
    }


def _wanted(job: Job, span: tuple[str, str]) -> Wanted:
    since, until = map(datetime.fromisoformat, span)
    return Wanted(job.deployment, since, until, revision=job.revision)


def _cases(found: Sequence[Prediction]) -> list[Case]:
    return [Case(one.at, one.request_id, one.revision, one.rows, one.outputs, one.actual) for one in found]


if __name__ == "__main__":
    sys.exit(main())
