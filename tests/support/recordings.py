"""Recordings of rollouts that the judge was really asked about, on seeded traffic."""

from __future__ import annotations

import numpy as np

from tidegate import judge
from tidegate.contract.request import parse_request
from tidegate.trial import recording
from tidegate.trial.counting import Totals
from tidegate.trial.rules import rules

REQUEST = parse_request(
    {"name": "churn", "modelArtifact": {"path": "/m.onnx"}, "servingRequirements": {}, "steps": [10, 100]}
).as_document()


def recorded(rate: float, *, looks: int = 60, seed: int = 1) -> list[str]:
    """Return the lines of a rollout at 50 requests/s, judged as it goes on; its candidate fails at `rate`."""
    rng, policy = np.random.default_rng(seed), rules(parse_request(REQUEST))
    baseline = Totals(250, 0, 0, 2)
    lines = [
        recording.first_line(
            rollout="7", deployment="churn", from_revision=1, to_revision=2, started_at="2026-03-01", request=REQUEST
        )
    ]
    evidence = judge.begin(policy, baseline.tallies(policy))
    totals = {"candidate": Totals(), "stable": baseline}
    at = 5.0
    for step, weight in enumerate((10, 100)):
        evidence = judge.begin_step(policy, evidence)
        counts = {side: counted.as_dict() for side, counted in totals.items()}
        begun = {"step": step, "weight": weight, "mirror": 0, "baseline": baseline.as_dict()}
        lines.append(recording.line("step", at, **begun, **counts))
        lines.append(recording.line("phase", at, phase="analyzing", reason="traffic"))
        for _ in range(looks):
            at += 1.0
            grown = {}
            for side, share, bad in (("candidate", weight, rate), ("stable", 100 - weight, 0.001)):
                requests = int(rng.poisson(0.5 * share))
                grown[side] = Totals(requests, *(int(rng.binomial(requests, each)) for each in (bad, 0.0, 0.01)))
                totals[side] = totals[side] + grown[side]
            growth = (grown[side].tallies(policy) for side in ("candidate", "stable"))
            evidence = judge.observe(policy, evidence, *growth)
            said = judge.assess(policy, evidence).outcome
            counts = {side: counted.as_dict() for side, counted in totals.items()}
            lines.append(recording.line("look", at, **counts, verdict=said))
            if said == "fail":
                return [*lines, recording.line("phase", at, phase="rolling_back", reason="harm")]
            if said == "pass":
                lines.append(recording.line("phase", at, phase="shifting", reason="passed"))
                break
    return [*lines, recording.line("phase", at, phase="promoting", reason="passed")]
