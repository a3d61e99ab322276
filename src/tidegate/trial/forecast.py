"""What a rollout of a request will see before it begins: how soon harm shows, whom it costs, when promotion comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from tidegate import judge
from tidegate.contract.errors import InvalidInput
from tidegate.contract.quantities import Share, Throughput
from tidegate.contract.request import DeploymentRequest, parse_request
from tidegate.judge.forecast import Setting, Stage
from tidegate.judge.forecast import forecast as foresee
from tidegate.trial.rules import OUTCOMES, SIGNALS, rules
from tidegate.trial.suggestions import suggestions


def forecast(
    request: Mapping[str, Any], *, traffic: str | None = None, baseline_rates: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the forecast of a request document as a document; computes for some seconds, and asks nobody.

    Args:
        request: a DeploymentRequest document, camelCase; the model that it names need not exist.
        traffic: rate of requests, such as "50rps"; None: `servingRequirements.throughput`.
        baseline_rates: stable's share of bad requests, such as "0.2%", by signal, or for "all" of them; a signal that
            is not named is as bad as its objective tolerates.

    Returns:
        What docs/how-to/forecast-and-replay.md describes: fields of `judge.forecast.Forecast`, `settings` and
        `suggestions`.

    Raises:
        InvalidInput: the document, the traffic or a rate is not right.
    """
    parsed = parse_request(request)
    rate = Throughput.parse(traffic, field="traffic") if traffic is not None else parsed.serving_requirements.throughput
    policy = _foreseeable(rules(parsed))
    setting = Setting(
        policy=policy,
        stages=_stages(parsed),
        requests_per_second=rate.rps,
        baseline_rates=_baseline_rates(policy, baseline_rates or {}),
        baseline_seconds=parsed.analysis.baseline.seconds,
        look_seconds=parsed.analysis.interval.seconds,
        when_undecided=parsed.analysis.on_inconclusive,
    )
    told = foresee(setting)
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
        "left_out": _left_out(parsed),
        **_plain(asdict(told)),
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
    spent = sum(policy.alpha_of(signal) for signal in left if signal.fails_candidates)
    return replace(policy, signals=left, alpha=spent or policy.alpha) if len(left) < len(policy.signals) else policy


def _stages(request: DeploymentRequest) -> tuple[Stage, ...]:
    """Return the steps in which the judge decides: those with a weight.

    Raises:
        InvalidInput: the strategy has none.
    """
    longest = request.analysis.step_duration
    weighted = [step for step in request.trial if step.weight is not None]
    if not weighted:
        raise InvalidInput(
            f"there is nothing to forecast for {request.deployment_strategy} without a weight: no step ends by the "
            "judge's word on users' requests",
            subject="steps",
            expected="steps with weights, such as [5, 25, 50, 100]",
        )
    return tuple(Stage((step.weight or 0) / 100, (step.duration or longest).seconds) for step in weighted)


def _left_out(request: DeploymentRequest) -> list[dict[str, Any]]:
    """Return the steps that are not forecast: what they take comes on top."""
    others = [step for step in request.trial if step.weight is None]
    return [step.model_dump(mode="json", exclude_none=True) for step in others]


def _baseline_rates(policy: judge.Policy, given: Mapping[str, str]) -> dict[str, float]:
    unknown = sorted(set(given) - {"all", *SIGNALS})
    if unknown:
        raise InvalidInput(
            f"there is no signal {unknown[0]!r}",
            subject="baselineRate",
            expected=f"one of {', '.join(SIGNALS)}",
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
