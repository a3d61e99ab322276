"""Strategies as lists of steps: pure functions from what a user asks for to what the engine goes through.

The engine knows steps alone. What tells one strategy from another is which steps they are:

- canary: the weights that were asked for, with what stands between them;
- blue-green: the candidate stands ready without users, then gets all of them at once, and stable stays for a while;
- rolling: replicas are exchanged a few at a time, and the weight follows them;
- ab-test: a share of the users keeps each challenger until a person decides;
- shadow: requests are copied to the candidate, whose answers nobody gets.
"""

from __future__ import annotations

from math import ceil

from tidegate.rollout.records import Step, hundredths

#: By which a number of replicas may be above a whole one only because of how it was computed.
_ROUNDING = 1e-9


def blue_green(*, preview_seconds: float, waits_for_person: bool, bake_seconds: float) -> tuple[Step, ...]:
    """Return the steps of a switch from one revision to another.

    Args:
        preview_seconds: how long the candidate stands ready before the switch; 0 for not at all.
        waits_for_person: whether the switch waits until a person resumes.
        bake_seconds: how long stable stays warm after the switch.
    """
    steps = []
    if preview_seconds:
        steps.append(Step(0, preview_seconds, until="time"))
    if waits_for_person:
        steps.append(Step(0, 0.0, until="person"))
    return (*steps, Step(100, bake_seconds, until="time"))


def rolling(
    *,
    replicas: int,
    stable_replicas: int,
    surge: int,
    unavailable: int,
    hold_seconds: float,
    needed: float = 0.0,
) -> tuple[Step, ...]:
    """Return the steps in which replicas of the candidate take the place of stable's.

    There are never more than the larger of both numbers of replicas and `surge`, and what is ready is never less than
    that number, of the side that has the requests, less `unavailable`: a step first starts what it brings, then moves
    the weight, then lets go of what it replaces. Nor has stable ever less than its share of the requests needs, or,
    where `surge` has room for it, less than two replicas: the last one would take that share with it when it dies.

    Args:
        replicas: that the candidate is to have, at least 1.
        stable_replicas: that stable has, at least 1.
        surge: replicas that may be there beyond those that are wanted, at least 1.
        unavailable: replicas of those that are wanted that may be missing.
        hold_seconds: how long each step is watched before the next.
        needed: replicas of stable that all of the requests need, maybe with a fraction; no more than stable has are
            kept for it.

    Raises:
        ValueError: a number is out of its range.
    """
    if surge < 1 or unavailable < 0 or replicas < 1 or stable_replicas < 1:
        raise ValueError("a rolling exchange needs replicas on both sides, a surge of at least 1, no negative number")
    steps: list[Step] = []
    started, kept = 0, stable_replicas
    least, most = min(needed, stable_replicas), max(replicas, stable_replicas) + surge
    while started < replicas:
        room = most - started - kept
        started = min(replicas, started + max(room, 1))
        left = replicas - started
        wanted = max(-(-stable_replicas * left // replicas) - unavailable, ceil(least * left / replicas - _ROUNDING))
        # The next step needs room for one. The last of stable's goes only with the requests that it still gets.
        pair = min(2, most - started - 1)
        kept = max(1, min(kept, max(wanted, pair))) if started < replicas else 0
        weight = hundredths(100 * started / replicas)
        steps.append(Step(weight, hold_seconds, until="time", replicas=started, stable_replicas=kept))
    return tuple(steps)


def ab_test(weight: float) -> tuple[Step, ...]:
    """Return the one step of a comparison that a person ends.

    Args:
        weight: percent of the users that get a challenger, all of them together.
    """
    return (Step(weight, 0.0, until="person"),)
