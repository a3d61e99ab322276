"""What the judge holds a deployment to: signals, their objectives, and how their bad events are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tidegate import judge
from tidegate.contract.analysis import Analysis, SignalSettings
from tidegate.contract.metrics import Counted, Metric
from tidegate.contract.request import DeploymentRequest
from tidegate.rollout import Step
from tidegate.trial.resources import CPU, MEMORY, policy_of

#: The share of requests that a p99 objective allows to be slower.
P99_BUDGET = 0.01
#: Slow requests come in clusters: a stalled processor delays all that wait for it. No single look condemns a candidate,
#: nor do three, a stall of a second or two perhaps. Figures: benchmarks/results/judge-stalls.md.
LATENCY_PATIENCE = 4

#: Of alpha, beside 1 for every other signal: what harms users most often is to be found soonest. Latency gets the
#: most, since its patience costs time.
ALPHA_SHARES = {"errors": 6.0, "latency": 10.0}

SIGNALS = ("errors", "latency", "rejections")
#: Measured while requests are copied: those on which the candidate answered otherwise than stable.
DISAGREEMENT = "disagreement"
#: What came of requests, as it is told later.
OUTCOMES = "outcomes"
#: Distributions, measured while candidate and stable share the users: of what is predicted, and of what is asked.
PREDICTIONS, INPUTS = "predictions", "inputs"
#: What is shown of predictions where the request tolerates no distance in particular.
_SHOWN_TOLERANCE = 0.1
#: The judge holds a candidate to less than all.
_MOST_DISAGREEMENT = 0.999


def policy(*, budget: float, latency: str, alpha: float, margin: float, min_requests: int) -> judge.Policy:
    """Return the judge's policy for a deployment's service levels.

    Args:
        budget: the share of requests that may fail, 0 to 1: what the availability objective leaves.
        latency: the p99 objective as people write it.
    """
    return judge.Policy(
        signals=(
            judge.SignalPolicy(
                "errors", objective=budget, margin=margin, min_requests=min_requests, alpha_share=ALPHA_SHARES["errors"]
            ),
            judge.SignalPolicy(
                "latency",
                objective=P99_BUDGET,
                margin=margin,
                min_requests=min_requests,
                patience=LATENCY_PATIENCE,
                alpha_share=ALPHA_SHARES["latency"],
                verb=f"took {latency} or longer",
            ),
            judge.SignalPolicy(
                "rejections", objective=budget, margin=margin, min_requests=min_requests, verb="were rejected"
            ),
        ),
        alpha=alpha,
    )


def rules(request: DeploymentRequest) -> judge.Policy:
    """Return what the judge is to hold the candidate to.

    The arms of an A/B test divide alpha among them. Disagreement is a signal where the request limits it and has a step
    in which it is measured; outcomes are where the request says that they will be told. Distributions are compared of
    one candidate and stable, so not in a test of several arms.
    """
    analysis = request.analysis
    usual = policy(
        budget=float(request.error_budget),
        latency=str(request.serving_requirements.latency_p99),
        alpha=analysis.alpha.ratio / len(request.candidates),
        margin=analysis.margin.ratio,
        min_requests=analysis.min_requests,
    )
    signals = usual.signals
    if analysis.disagreement is not None and any(step.shadow is not None for step in request.trial):
        disagreement = judge.SignalPolicy(
            DISAGREEMENT,
            objective=min(analysis.disagreement.ratio, _MOST_DISAGREEMENT),
            margin=analysis.margin.ratio,
            min_requests=analysis.min_requests,
            verb="were answered otherwise than by stable",
        )
        signals = (*signals, disagreement)
    if analysis.outcomes is not None:
        outcomes = judge.SignalPolicy(
            OUTCOMES,
            objective=analysis.outcomes.bad.ratio,
            margin=analysis.margin.ratio,
            min_requests=analysis.min_requests,
            holds_back=analysis.outcomes.wait,
            depends_on_inputs=True,
            verb="came to a bad outcome",
        )
        signals = (*signals, outcomes)
    judged = tuple(_as_set(signal, getattr(analysis.signals, signal.name)) for signal in signals)
    counted = tuple(
        _counted(metric, metric.counted, analysis) for metric in analysis.metrics if metric.counted is not None
    )
    limited = tuple(_limited(metric) for metric in analysis.metrics if metric.counted is None)
    watched = ((MEMORY, analysis.resources.memory), (CPU, analysis.resources.cpu))
    resources = tuple(policy_of(name, one) for name, one in watched if one is not None)
    held = replace(usual, signals=(*judged, *counted), metrics=(*limited, *resources))
    if request.ab_test.arms:
        return held
    return replace(held, shifts=(_predictions(analysis),), mix=_inputs(analysis))


def _counted(metric: Metric, counted: Counted, analysis: Analysis) -> judge.SignalPolicy:
    """Return how a metric that counts bad events is judged."""
    return judge.SignalPolicy(
        metric.name,
        objective=counted.objective.ratio,
        margin=(counted.margin or analysis.margin).ratio,
        min_requests=counted.min_requests or analysis.min_requests,
        verb="were counted as bad",
        weight=metric.weight,
        is_critical=metric.critical,
        is_dry_run=metric.dry_run,
    )


def _limited(metric: Metric) -> judge.MetricPolicy:
    """Return how a metric with a threshold is judged."""
    return judge.MetricPolicy(
        metric.name,
        failure_limit=metric.failure_limit,
        inconclusive_limit=metric.inconclusive_limit,
        consecutive_error_limit=metric.consecutive_error_limit,
        successes=metric.count,
        weight=metric.weight,
        is_critical=metric.critical,
        is_dry_run=metric.dry_run,
    )


def comparison_rules(request: DeploymentRequest) -> judge.Policy:
    """Return what the arms of an A/B test are compared by: what is counted of all of them at the same time.

    Alpha is that of all statements about them together.
    """
    held = rules(request)
    signals = tuple(signal for signal in held.signals if signal.name in (*SIGNALS, OUTCOMES))
    return replace(held, alpha=request.analysis.alpha.ratio, signals=signals, metrics=(), shifts=(), mix=None)


def _predictions(analysis: Analysis) -> judge.ShiftPolicy:
    """Return how a change of predictions is judged: for show alone where the request does not limit it."""
    held = analysis.predictions
    return judge.ShiftPolicy(
        PREDICTIONS,
        tolerance=_SHOWN_TOLERANCE if held.tolerance is None else held.tolerance.ratio,
        margin=held.margin.ratio,
        min_requests=held.min_requests or analysis.min_requests,
        weight=held.weight,
        is_critical=held.critical,
        is_dry_run=held.dry_run or held.tolerance is None,
    )


def _inputs(analysis: Analysis) -> judge.ShiftPolicy | None:
    held = analysis.inputs
    return judge.ShiftPolicy(INPUTS, held.tolerance.ratio, min_requests=analysis.min_requests) if held.compare else None


def _as_set(signal: judge.SignalPolicy, settings: SignalSettings) -> judge.SignalPolicy:
    """Return a signal's policy with what the request says of this one."""
    return replace(
        signal,
        objective=signal.objective if settings.objective is None else settings.objective.ratio,
        margin=signal.margin if settings.margin is None else settings.margin.ratio,
        min_requests=settings.min_requests or signal.min_requests,
        weight=settings.weight,
        is_critical=settings.critical,
        is_dry_run=settings.dry_run,
    )


def tallies(requests: int, errors: int, rejections: int, slow: int) -> dict[str, judge.Tally]:
    """Return one tally for each signal that the gateway counts: a number of bad events among all requests."""
    bad = {"errors": errors, "latency": slow, "rejections": rejections}
    return {name: judge.Tally(requests, min(bad[name], requests)) for name in SIGNALS}


def idle(*, mirror: float, weight: float) -> tuple[str, ...]:
    """Return the signals that are not measured in a step, so that they do not hold it back.

    Answers are compared where requests are copied, one by one, which says more than distributions do; what comes of a
    request is due to the one who answered the user.

    Args:
        mirror: percent of the requests that are copied in the step.
        weight: percent of the requests that go to the candidate in it.
    """
    if mirror:
        return OUTCOMES, PREDICTIONS, INPUTS
    return (DISAGREEMENT,) if 0 < weight < 100 else (DISAGREEMENT, PREDICTIONS, INPUTS)


def never_measured(steps: Iterable[Step]) -> tuple[str, ...]:
    """Return the signals that none of a rollout's steps measures, whatever the request says of them."""
    asking = [step for step in steps if step.weight or step.mirror]
    apart = [idle(mirror=step.mirror, weight=step.weight) for step in asking]
    return tuple(
        name for name in (DISAGREEMENT, OUTCOMES, PREDICTIONS, INPUTS) if all(name in names for names in apart)
    )
