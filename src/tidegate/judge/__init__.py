"""The judge: is the candidate worse than stable and outside of what was promised? Anytime-valid, and pure.

    evidence = begin(policy, baseline)
    evidence = begin_step(policy, evidence)
    evidence = observe(policy, evidence, candidate, stable)    # one look, as often as one likes
    verdict = assess(policy, evidence)

A candidate is harmful on a signal when its bad rate is above both stable's and the objective. It fails when there is
evidence for both, strong enough that a healthy candidate meets it with probability at most `Policy.alpha` in a whole
rollout. It passes a step when there is evidence that it is not worse than max(stable, objective) + margin. Method and
figures: docs/explanation/judge.md.
"""

from tidegate.judge.comparison import Comparison, Pair
from tidegate.judge.evidence import Evidence
from tidegate.judge.looks import begin, begin_step, observe
from tidegate.judge.metrics import Measurements, Went, assess_metric
from tidegate.judge.records import (
    Counts,
    MetricPolicy,
    MetricVerdict,
    Outcome,
    Policy,
    Shift,
    ShiftPolicy,
    SignalPolicy,
    SignalVerdict,
    Tally,
    Verdict,
)
from tidegate.judge.verdicts import assess

__all__ = [
    "Comparison",
    "Counts",
    "Evidence",
    "Measurements",
    "MetricPolicy",
    "MetricVerdict",
    "Outcome",
    "Pair",
    "Policy",
    "Shift",
    "ShiftPolicy",
    "SignalPolicy",
    "SignalVerdict",
    "Tally",
    "Verdict",
    "Went",
    "assess",
    "assess_metric",
    "begin",
    "begin_step",
    "observe",
]
