"""What a rollout of a request will see before it begins: how soon harm shows, whom it costs, when promotion comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.contract.quantities import Share, Throughput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.judge.forecast import Forecast, Setting
from tidegate.judge.forecast import forecast as foresee
from tidegate.judge.streams import Stage
from tidegate.rollout import Step
from tidegate.trial.rules import DISAGREEMENT, OUTCOMES, rules
from tidegate.trial.steps import trial_steps
from tidegate.trial.suggestions import suggestions

#: A stage that is held for no time at all is over at the next look.
_SHORTEST = 0.001


def forecast(
    request: Mapping[str, Any], *, traffic: str | None = None, baseline_rates: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the forecast of a request document as a document; computes for some seconds, and asks nobody.

    Args:
        request: a DeploymentRequest document, camelCase; the model that it names need not exist.
        traffic: rate of requests, such as "50rps"; None: `servingRequirements.throughput`.
        baseline_rates: stable's share of bad requests, such as "0.2%", by signal, or for "all" of them; a signal that
                is not named is as bad as its objective tolerates. That of disagreement is a healthy candidate's.

    Returns:
        What docs/how-to/forecast-and-replay.md describes: fields of `judge.forecast.Forecast`, `settings` and
        `suggestions`.

    Raises:
        InvalidInput: the document, the traffic or a rate is not right.
    """
    parsed = parse_request(request)
    rate = Throughput.parse(traffic, field="traffic") if traffic is not None else parsed.serving_requirements.throughput
    policy = _foreseeable(rules(parsed))
    engine = trial_steps(parsed, parsed.infrastructure.resources.replicas)
    arms = [arm for arm in parsed.ab_test.arms if arm.weight] if parsed.deployment_strategy == "ab-test" else []
    setting = Setting(
        policy=policy,
        stages=_stages(parsed, engine),
        requests_per_second=rate.rps,
        baseline_rates=_baseline_rates(policy, baseline_rates or {}),
        baseline_seconds=parsed.analysis.baseline.seconds,
        look_seconds=parsed.analysis.interval.seconds,
        when_undecided=parsed.analysis.on_inconclusive,
        only_copied=frozenset({DISAGREEMENT}),
    )
    told = _of_arms(setting, [arm.weight / 100 for arm in arms]) if arms else foresee(setting)
    document = _plain(asdict(told if parsed.deployment_strategy != "ab-test" else _endless(told)))
    for step, arm in zip(document["steps"], arms, strict=False):
        step["arm"] = arm.name
    return {
        "name": parsed.name,
        "settings": {
            "traffic": str(rate),
            "alpha": parsed.analysis.alpha.ratio,
            "margin": parsed.analysis.margin.ratio,
            "min_requests": parsed.analysis.min_requests,
            "on_inconclusive": parsed.analysis.on_inconclusive,
            "baseline_rates": dict(setting.baseline_rates),
            "streams": told.streams,
        },
        "without_requests": [_told(step) for step in engine if not (step.weight or step.mirror)],
        "waits_for_person": any(step.until == "person" for step in engine),
        "strategy": parsed.deployment_strategy,
        **document,
        "suggestions": list(suggestions(parsed, told)),
    }


def _plain(value: Any) -> Any:
    """Return plain JSON values: lists for tuples."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _foreseeable(policy: judge.Policy) -> judge.Policy:
    """Return the policy without outcomes: when they are told, and of which requests, follows from no traffic.

    The other signals keep the parts of alpha that they have beside it.
    """
    left = tuple(signal for signal in policy.signals if signal.name != OUTCOMES)
    judged: tuple[judge.SignalPolicy | judge.ShiftPolicy, ...] = (*left, *policy.shifts)
    spent = sum(policy.alpha_of(held) for held in judged if held.fails_candidates)
    return replace(policy, signals=left, alpha=spent or policy.alpha) if len(left) < len(policy.signals) else policy


def _stages(request: DeploymentRequest, engine: Sequence[Step]) -> tuple[Stage, ...]:
    """Return the engine's steps for the judge.

    Raises:
        InvalidInput: the strategy has none in which requests reach the candidate.
    """
    if not any(step.weight or step.mirror for step in engine):
        raise InvalidInput(
            f"there is nothing to forecast for {request.deployment_strategy} without a step in which requests reach "
            "the candidate",
            subject="steps",
            expected="steps with weights or shadow, such as [5, 25, 50, 100]",
        )
    return tuple(
        Stage(step.weight / 100, max(step.duration_seconds, _SHORTEST), step.until, step.mirror / 100)
        for step in engine
    )


def _of_arms(setting: Setting, weights: Sequence[float]) -> Forecast:
    """Return what is foretold of an A/B test of several challengers, with a step for each: all of them begin at once.

    Each is compared with stable as if it were alone, with its part of alpha, which the policy has already.
    """
    all_of_them = sum(weights)
    each = [
        foresee(replace(setting, stages=(Stage(weight, 0.0, "person", elsewhere=max(0.0, all_of_them - weight)),)))
        for weight in weights
    ]
    return replace(each[0], steps=tuple(step for told in each for step in told.steps))


def _endless(told: Forecast) -> Forecast:
    """Return what is foretold of a rollout that has no end of its own."""
    return replace(told, rollouts=(), promoted=0.0, waits=1.0, promotion_seconds=None)


def _told(step: Step) -> dict[str, Any]:
    """Return what is told of a step that no request reaches the candidate in."""
    return {"until": step.until, "seconds": None if step.until == "person" else step.duration_seconds}


def _baseline_rates(policy: judge.Policy, given: Mapping[str, str]) -> dict[str, float]:
    names = [signal.name for signal in policy.signals]
    unknown = sorted(set(given) - {"all", *names})
    if unknown:
        raise InvalidInput(
            f"there is no signal {unknown[0]!r}",
            subject="baselineRate",
            expected=f"one of {', '.join(names)}",
            got=unknown[0],
        )
    rates = {}
    for signal in policy.signals:
        text = given.get(signal.name, given.get("all"))
        rates[signal.name] = signal.objective if text is None else Share.parse(text, field="baselineRate").ratio
    return rates


def parsed_baseline_rates(given: Sequence[str]) -> dict[str, str]:
    """Read "0.2%" (of every signal) and "errors=0.2%", as a command line has them."""
    rates: dict[str, str] = {}
    for text in given:
        signal, equals, rate = text.rpartition("=")
        rates[signal if equals else "all"] = rate
    return rates
