"""What is measured of an A/B test: each arm beside stable, and the arms beside each other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate import judge
from tidegate.contract.request import STABLE, DeploymentRequest
from tidegate.controller.evidence import Measured
from tidegate.rollout import Rollout, SplitCheck, check_shares
from tidegate.trial.counting import Totals
from tidegate.trial.rules import comparison_rules, idle, rules

Verdicts = Mapping[int, judge.Verdict]
Growth = Mapping[int, Totals]


def mark(revision: int) -> str:
    """Return what tells an arm's measurements and memories from those of another, after their names."""
    return f"|{revision}"


def enter_split(measured: Measured, rollout: Rollout, request: DeploymentRequest) -> Measured:
    """Begin the counts of a split that has come into force; what is known of the arms is kept."""
    policy, kept = rules(request), measured.arms
    for revision in rollout.on_trial:
        if str(revision) not in kept:
            begun = judge.begin_step(policy, judge.begin(policy, measured.baseline.tallies(policy)))
            kept = {**kept, str(revision): begun.for_storage()}
    comparison = measured.comparison or _begun(rollout, request).for_storage()
    return replace(measured, step=rollout.step, in_step={}, window={}, arms=kept, comparison=comparison)


def observe(
    measured: Measured, rollout: Rollout, growth: Growth, request: DeploymentRequest, *, is_whole: bool = True
) -> Measured:
    """Give the judge what one look brought of every arm; does nothing before the first split.

    Args:
        is_whole: whether `growth` has every request, so that the split can be checked on it.
    """
    stable = rollout.plan.stable
    if not measured.arms or measured.comparison is None or stable is None:
        return measured
    policy, compared = rules(request), comparison_rules(request)
    revisions = (stable, *rollout.on_trial)
    grown = {revision: growth.get(revision, Totals()) for revision in revisions}
    kept = dict(measured.arms)
    for revision in rollout.on_trial:
        before = judge.Evidence.from_storage(kept[str(revision)])
        after = judge.observe(policy, before, grown[revision].tallies(policy), grown[stable].tallies(policy))
        kept[str(revision)] = after.for_storage()
    comparison = judge.Comparison.from_storage(measured.comparison).observe(
        compared, {revision: totals.tallies(compared) for revision, totals in grown.items()}
    )
    window = {} if check_split(measured, rollout) is SplitCheck.CONTRADICTED else measured.window
    return replace(
        measured,
        in_step=_added(measured.in_step, grown),
        window=_added(window, grown) if is_whole else window,
        arms=kept,
        comparison=comparison.for_storage(),
    )


def check_split(measured: Measured, rollout: Rollout) -> SplitCheck:
    """Compare what was counted with the weights of all arms."""
    counted = {revision: totals.requests for revision, totals in measured.window.items()}
    return check_shares(rollout.split(), counted)


def verdicts(
    measured: Measured, rollout: Rollout, request: DeploymentRequest, unmeasured: Mapping[str, str] | None = None
) -> dict[int, judge.Verdict]:
    """Return what the judge says of every arm now; nothing before the first split.

    Args:
        unmeasured: by signal, why it could not be measured at the last look.
    """
    policy, apart = rules(request), idle(mirror=0, weight=0)
    found = {}
    for revision in rollout.on_trial:
        if (stored := measured.arms.get(str(revision))) is not None:
            known = judge.Evidence.from_storage(stored)
            taken = {
                name.removesuffix(mark(revision)): seen
                for name, seen in measured.measurements.items()
                if name.endswith(mark(revision))
            }
            found[revision] = judge.assess(policy, known, apart, unmeasured or {}, measurements=taken)
    return found


def arms_view(rollout: Rollout, said: Verdicts) -> list[dict[str, Any]]:
    """Return every arm that the test began with, stable first: what it is, and what is said of it."""
    now = {arm.name: arm for arm in rollout.arms}
    split = rollout.split()
    stable = rollout.plan.stable
    listed: list[dict[str, Any]] = [
        {"name": STABLE, "revision": stable, "weight": split.get(stable or 0, 0), "out": None, "verdict": None}
    ]
    for begun in rollout.plan.arms:
        verdict = said.get(begun.revision) if begun.name in now else None
        why = rollout.gone.get(begun.name)
        if why is None and begun.name not in now:
            why = "another arm was chosen"
        listed.append(
            {
                "name": begun.name,
                "revision": begun.revision,
                "weight": split.get(begun.revision, 0),
                "out": why,
                "verdict": verdict.as_dict() if verdict is not None else None,
            }
        )
    return listed


def comparison_view(measured: Measured, rollout: Rollout, request: DeploymentRequest) -> dict[str, Any] | None:
    """Return how the arms compare; None before the first split.

    Keys: `alpha` (of all statements together), `pairs` (for each signal and two arms: `better`, `worse`, how far the
    `evidence` is on its way to 1, whether it is `shown`, what both counted), `statements` (sentences for what is
    shown), `best` (the arm that is shown better than every other one on a signal and worse on none; else None).
    """
    if measured.comparison is None:
        return None
    policy = comparison_rules(request)
    names: dict[int | None, str] = {arm.revision: arm.name for arm in rollout.plan.arms}
    names[rollout.plan.stable] = STABLE
    known = judge.Comparison.from_storage(measured.comparison)
    pairs = known.pairs(policy)
    verbs = {signal.name: signal.verb for signal in policy.signals}
    shown = [pair for pair in pairs if pair.is_shown]
    still = (STABLE, *(arm.name for arm in rollout.arms))
    return {
        "alpha": policy.alpha,
        "pairs": [{**pair.as_dict(), "better": names[pair.better], "worse": names[pair.worse]} for pair in pairs],
        "statements": [
            f"{names[pair.better]} is better than {names[pair.worse]} on {pair.signal}: "
            f"{_rate(pair.better_counted)} against {_rate(pair.worse_counted)} {verbs[pair.signal]}"
            for pair in shown
        ],
        "best": _best(still, {(names[pair.better], names[pair.worse], pair.signal) for pair in shown}),
    }


def compared(comparison: Mapping[str, Any] | None) -> list[str]:
    """Return what `comparison_view` gave in sentences; empty when nothing was compared."""
    if not comparison:
        return []
    sure = f"{100 * (1 - comparison['alpha']):g} %"
    if not comparison["statements"]:
        return [f"no arm was shown to be better than another, at {sure} for all statements together"]
    best = [f"best: {comparison['best']}"] if comparison["best"] else []
    return [*(f"{said} ({sure} for all statements together)" for said in comparison["statements"]), *best]


def _best(still: tuple[str, ...], shown: set[tuple[str, str, str]]) -> str | None:
    for name in still:
        beaten = {worse for better, worse, _ in shown if better == name}
        is_worse = any(worse == name for _, worse, _ in shown)
        if not is_worse and len(still) > 1 and beaten >= set(still) - {name}:
            return name
    return None


def _rate(counted: judge.Tally) -> str:
    return f"{counted.bad:,} of {counted.requests:,} ({100 * (counted.rate or 0):.2g} %)"


def _begun(rollout: Rollout, request: DeploymentRequest) -> judge.Comparison:
    revisions = (*([] if rollout.plan.stable is None else [rollout.plan.stable]), *rollout.on_trial)
    return judge.Comparison.begin(comparison_rules(request), revisions)


def _added(before: Growth, grown: Growth) -> dict[int, Totals]:
    return {revision: before.get(revision, Totals()) + totals for revision, totals in grown.items()}
