"""A recorded rollout, judged again with other settings: what would have been said, and what that changes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.trial.bounds import bound_for
from tidegate.trial.counting import Totals
from tidegate.trial.recording import Recording
from tidegate.trial.rules import idle, rules

#: Fields of the request that can be told otherwise afterwards, by the names that people use for them.
SETTINGS = {
    "alpha": ("analysis", "alpha"),
    "margin": ("analysis", "margin"),
    "min_requests": ("analysis", "minRequests"),
    "availability": ("servingRequirements", "availability"),
    "p99": ("servingRequirements", "latencyP99"),
}


@dataclass(frozen=True)
class Said:
    """What the judge says at one look, `at` seconds after the rollout began."""

    at: float
    step: int
    outcome: str
    reason: str
    candidate: Totals


@dataclass(frozen=True)
class StepSpan:
    """A step as it was recorded, and when each judge would have ended it; None: not while it lasted."""

    step: int
    weight: float
    began_at: float
    ended_at: float | None
    ended_as: str | None
    recorded_pass_at: float | None
    recorded_fail_at: float | None
    replayed_pass_at: float | None
    replayed_fail_at: float | None


def replay(recording: Recording, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Judge a recording again and return what differs, as plain JSON values.

    Args:
        settings: new values by the names in `SETTINGS`; None or a missing name leaves what was recorded. A `p99` is
            replayed at the smallest recorded bound that is not below it.

    Returns:
        `settings` (recorded and replayed), `latency` (`asked_ms`, `used_ms` and the `bounds_ms` that were recorded, the
        objective of the time among them), `looks`, `unlike_the_record` (looks at which the recorded settings do not
        give the recorded verdict; 0 says that the replay is exact), `complete`, `happened`, `steps`, `verdicts` (each
        change of either), and `differences` in sentences. Times are seconds since the rollout began.

    Raises:
        InvalidInput: a setting that a request cannot have, or a `p99` at which nothing was recorded.
    """
    recorded_request = parse_request(recording.request)
    changed = {name: value for name, value in (settings or {}).items() if value is not None}
    asked_request = parse_request(_with(recording.request, changed))
    asked = asked_request.serving_requirements.latency_p99
    used = _recorded_objective(recording, recorded_request, asked)
    replayed_request = _at_objective(asked_request, used)
    number = recording.bounds.index(int(used.ms)) if used.ms in recording.bounds else None
    again = list(_judged(recording, rules(recorded_request)))
    replayed = list(_judged(recording, rules(replayed_request), number))
    told = [entry.get("verdict") for entry in recording.entries if entry["kind"] == "look"]
    steps = _spans(recording, told, replayed)
    happened = [
        {"at": entry["at"], "phase": entry["phase"], "reason": entry["reason"]}
        for entry in recording.entries
        if entry["kind"] == "phase"
    ]
    return {
        "rollout": recording.rollout,
        "deployment": recording.deployment,
        "from_revision": recording.from_revision,
        "to_revision": recording.to_revision,
        "started_at": recording.started_at,
        "complete": recording.is_complete,
        "settings": {"recorded": _settings(recorded_request), "replayed": _settings(replayed_request)},
        "latency": {"asked_ms": asked.ms, "used_ms": used.ms, "bounds_ms": _all_bounds(recording, recorded_request)},
        "looks": len(told),
        "unlike_the_record": sum(
            was is not None and was != said.outcome for was, said in zip(told, again, strict=True)
        ),
        "happened": happened,
        "steps": [asdict(step) for step in steps],
        "verdicts": list(_changes(told, replayed)),
        "differences": list(_differences(steps, told, replayed)),
    }


def _with(request: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    document = {key: dict(value) if isinstance(value, Mapping) else value for key, value in request.items()}
    for name, value in changed.items():
        part, field = SETTINGS[name]
        document.setdefault(part, {})[field] = value
    return document


def _settings(request: DeploymentRequest) -> dict[str, Any]:
    document = request.as_document()
    return {name: document[part][field] for name, (part, field) in SETTINGS.items()}


def _all_bounds(recording: Recording, recorded: DeploymentRequest) -> list[float]:
    return sorted({*recording.bounds, recorded.serving_requirements.latency_p99.ms})


def _recorded_objective(recording: Recording, recorded: DeploymentRequest, asked: Duration) -> Duration:
    """Return the objective nearest to what was asked, from above, at which slow requests were counted."""
    objective = recorded.serving_requirements.latency_p99
    if asked == objective:
        return objective
    bounds = _all_bounds(recording, recorded)
    bound = bound_for(asked.ms, bounds)
    if bound is not None and recording.bounds:
        return objective if bound == objective.ms else _milliseconds(bound)
    if not recording.bounds:
        expected = f"{objective}, the objective of the time: this recording is of an earlier version and has no other"
    else:
        lowest, highest = _milliseconds(bounds[0]), _milliseconds(bounds[-1])
        expected = f"a duration from {lowest} to {highest}, where slow requests were counted"
    raise InvalidInput(
        f"what took {asked} or longer was not recorded in rollout {recording.rollout} of {recording.deployment}",
        subject="p99",
        expected=expected,
        got=str(asked),
    )


def _milliseconds(number: float) -> Duration:
    return Duration.of_seconds(number / 1_000)


def _at_objective(request: DeploymentRequest, objective: Duration) -> DeploymentRequest:
    needs = request.serving_requirements.model_copy(update={"latency_p99": objective})
    return request.model_copy(update={"serving_requirements": needs})


def _judged(recording: Recording, policy: judge.Policy, bound: int | None = None) -> Iterator[Said]:
    """Yield the verdict at every look; nothing is judged before the first step.

    Args:
        bound: the number of the bound that slow requests are counted by; None is the objective of the time.

    Metrics with a threshold and distributions are not judged again: what they measured is not in a recording.
    """
    policy = replace(policy, metrics=())
    evidence, step, unmeasured = None, -1, idle(mirror=0, weight=0)
    candidate, stable = Totals(), Totals()
    for written in recording.entries:
        entry = written if bound is None else _at_bound(written, bound)
        if entry["kind"] == "step":
            begun = evidence if evidence is not None else judge.begin(policy, entry["baseline"].tallies(policy))
            evidence, step = judge.begin_step(policy, begun), entry["step"]
            candidate, stable, unmeasured = entry["candidate"], entry["stable"], idle(mirror=entry["mirror"], weight=0)
        elif entry["kind"] == "look" and evidence is not None:
            grown = (entry[side].since(before) for side, before in (("candidate", candidate), ("stable", stable)))
            candidate, stable = entry["candidate"], entry["stable"]
            evidence = judge.observe(policy, evidence, *(growth.tallies(policy) for growth in grown))
            verdict = judge.assess(policy, evidence, unmeasured)
            yield Said(entry["at"], step, verdict.outcome, verdict.reason, candidate)


def _at_bound(entry: Mapping[str, Any], bound: int) -> dict[str, Any]:
    return {key: value.at_bound(bound) if isinstance(value, Totals) else value for key, value in entry.items()}


def _spans(recording: Recording, told: list[str | None], replayed: list[Said]) -> list[StepSpan]:
    entries = recording.entries
    begun = [number for number, entry in enumerate(entries) if entry["kind"] == "step"]
    spans = []
    for number, following in zip(begun, [*begun[1:], len(entries)], strict=True):
        entry = entries[number]
        phases = [
            later
            for later in entries[number + 1 : following]
            if later["kind"] == "phase" and later["phase"] not in ("analyzing", "paused")
        ]
        looks = [at for at, said in enumerate(replayed) if said.step == entry["step"]]
        spans.append(
            StepSpan(
                step=entry["step"],
                weight=entry["weight"],
                began_at=entry["at"],
                ended_at=phases[0]["at"] if phases else None,
                ended_as=phases[0]["phase"] if phases else None,
                recorded_pass_at=_first(replayed[at].at for at in looks if told[at] == "pass"),
                recorded_fail_at=_first(replayed[at].at for at in looks if told[at] == "fail"),
                replayed_pass_at=_first(replayed[at].at for at in looks if replayed[at].outcome == "pass"),
                replayed_fail_at=_first(replayed[at].at for at in looks if replayed[at].outcome == "fail"),
            )
        )
    return spans


def _first(times: Iterator[float]) -> float | None:
    return next(times, None)


def _changes(told: list[str | None], replayed: list[Said]) -> Iterator[dict[str, Any]]:
    """Yield the looks at which either verdict is another than at the look before, and the last one."""
    before: tuple[int, str | None, str] | None = None
    for number, (was, said) in enumerate(zip(told, replayed, strict=True)):
        now = (said.step, was, said.outcome)
        if now != before or number == len(replayed) - 1:
            yield {"at": said.at, "step": said.step, "recorded": was, "replayed": said.outcome, "reason": said.reason}
        before = now


def _differences(steps: list[StepSpan], told: list[str | None], replayed: list[Said]) -> Iterator[str]:
    """Say what the other settings change, to the first fail; what follows it would not have been."""
    failed = next((said for said in replayed if said.outcome == "fail"), None)
    was = next((said for said, outcome in zip(replayed, told, strict=True) if outcome == "fail"), None)
    for step in steps:
        if failed is not None and step.began_at > failed.at:
            break
        yield from _of_step(step)
    if failed is not None and was is None:
        yield f"the candidate would have been taken back at {failed.at:.1f} s: {failed.reason}"
    elif failed is None and was is not None:
        yield f"the candidate would not have been taken back at {was.at:.1f} s, nor later in what was recorded"
    elif failed is not None and was is not None and failed.at != was.at:
        when, more = ("sooner", "fewer") if failed.at < was.at else ("later", "more")
        requests = abs(was.candidate.requests - failed.candidate.requests)
        yield (
            f"the candidate would have been taken back {abs(was.at - failed.at):.1f} s {when}, at {failed.at:.1f} s, "
            f"after {requests:,} {more} of its requests"
        )


def _of_step(step: StepSpan) -> Iterator[str]:
    name = f"step {step.step + 1} ({step.weight:g} %)"
    was, now = step.recorded_pass_at, step.replayed_pass_at
    if was is None and now is not None:
        yield f"{name} would have passed {now - step.began_at:.1f} s after its begin, and did not pass"
    elif was is not None and now is None:
        yield f"{name} would not have passed while it lasted, and passed {was - step.began_at:.1f} s after its begin"
    elif was is not None and now is not None and was != now:
        when = "sooner" if now < was else "later"
        yield f"{name} would have passed {abs(was - now):.1f} s {when}, {now - step.began_at:.1f} s after its begin"
