"""Recordings of rollouts that the judge was really asked about, on seeded traffic."""

from __future__ import annotations

import math

import numpy as np

from tidegate import judge
from tidegate.contract.request import parse_request
from tidegate.trial import recording
from tidegate.trial.bounds import bounds_around
from tidegate.trial.counting import Totals
from tidegate.trial.rules import rules

REQUEST = parse_request(
    {"name": "churn", "modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, "steps": [10, 100]}
).as_document()


#: Of the request's 100 ms.
BOUNDS = bounds_around(100.0)


def slow(requests: int, median_ms: float, rng: np.random.Generator) -> Totals:
    """Return how many of some requests, of which half take longer than `median_ms`, were slow by each bound."""
    taken = rng.lognormal(math.log(median_ms), 0.25, requests)
    at, *slower = (int((taken >= bound).sum()) for bound in (100, *BOUNDS))
    return Totals(slow=at, slower=tuple(slower))


def recorded(rate: float, *, looks: int = 60, seed: int = 1, candidate_ms: float = 30.0) -> list[str]:
    """Return the lines of a rollout at 50 requests/s, judged as it goes on.

    Args:
        rate: at which the candidate fails.
        candidate_ms: its median latency; stable's is 30 ms, and 1 % of its requests take 54 ms or longer.
    """
    rng, policy = np.random.default_rng(seed), rules(parse_request(REQUEST))
    baseline = Totals(250) + slow(250, 30.0, rng)
    lines = [
        recording.first_line(
            rollout="7",
            deployment="churn",
            from_revision=1,
            to_revision=2,
            started_at="2026-03-01",
            request=REQUEST,
            bounds=BOUNDS,
        )
    ]
    evidence = judge.begin(policy, baseline.tallies(policy))
    totals = {"candidate": Totals(), "stable": baseline}
    at = 5.0
    for step, weight in enumerate((10, 100)):
        evidence = judge.begin_step(policy, evidence)
        counts = {side: recording.counts_line(counted) for side, counted in totals.items()}
        begun = {"step": step, "weight": weight, "mirror": 0, "baseline": recording.counts_line(baseline)}
        lines.append(recording.line("step", at, **begun, **counts))
        lines.append(recording.line("phase", at, phase="analyzing", reason="traffic"))
        for _ in range(looks):
            at += 1.0
            grown, before = {}, dict(totals)
            sides = (("candidate", weight, rate, candidate_ms), ("stable", 100 - weight, 0.001, 30.0))
            for side, share, bad, median_ms in sides:
                requests = int(rng.poisson(0.5 * share))
                grown[side] = Totals(requests, int(rng.binomial(requests, bad))) + slow(requests, median_ms, rng)
                totals[side] = totals[side] + grown[side]
            growth = (grown[side].tallies(policy) for side in ("candidate", "stable"))
            evidence = judge.observe(policy, evidence, *growth)
            said = judge.assess(policy, evidence).outcome
            counts = {side: recording.counts_line(counted, before[side]) for side, counted in totals.items()}
            lines.append(recording.line("look", at, **counts, verdict=said))
            if said == "fail":
                return [*lines, recording.line("phase", at, phase="rolling_back", reason="harm")]
            if said == "pass":
                lines.append(recording.line("phase", at, phase="shifting", reason="passed"))
                break
    return [*lines, recording.line("phase", at, phase="promoting", reason="passed")]
