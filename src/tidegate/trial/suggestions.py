"""What to change in a request whose steps cannot see harm, in the words of the document. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tidegate.contract.quantities import Duration
from tidegate.contract.request import DeploymentRequest
from tidegate.judge.forecast import Forecast, Regression, StepForecast

#: A step that takes back this share of the rollouts in which the candidate is `FACTOR` times as bad sees something.
SEES = 0.5
FACTOR = 10.0
#: Healthy candidates that pass a step less often than this are waited for too often.
PASSES = 0.8
#: The longest that a step may take; contract.request has the same.
LONGEST = Duration.parse("24h")


def suggestions(request: DeploymentRequest, told: Forecast) -> tuple[str, ...]:
    """Return a sentence for each thing to change, the most telling first; none where every step sees harm."""
    return (*_too_short(request, told), *_too_soon(request, told), *_undecided(told), *_inside(told))


def _too_short(request: DeploymentRequest, told: Forecast) -> Iterator[str]:
    """Name steps that end before harm has shown, and the time or the share that it takes."""
    for number, step in enumerate(told.steps, 1):
        if step.seconds is None:
            continue
        blind = [(name, worse) for name, worse in _blind(step) if not _shows_within(worse, step.seconds)]
        if not blind:
            continue
        names = _listed(name for name, _ in blind)
        what = f"{_step(number, step)} ends before {names} of {FACTOR:g} times the baseline show"
        times = [worse.likely_seconds for _, worse in blind]
        if any(seconds is None for seconds in times):
            yield f"{what}, however long it takes: watch it beside stable first, in a step with less weight"
            continue
        needed = max(seconds for seconds in times if seconds is not None)
        share = (step.share or step.mirror) * needed / step.seconds
        ways = [f"a longer step ({_time(needed)}; {_field(request, step)})"] if needed <= LONGEST.seconds else []
        if share <= 0.5 and request.deployment_strategy not in ("blue-green", "rolling"):
            ways.append(f"a larger share ({math.ceil(100 * share)} %; steps)")
        if ways:
            yield f"{what}: give it {' or '.join(ways)}"
        else:
            yield f"{what}: with this traffic that takes {_time(needed)}, longer than a step may be"


def _too_soon(request: DeploymentRequest, told: Forecast) -> Iterator[str]:
    """Name steps that harm would show in, were they not passed before."""
    numbers, names, least, longest = [], [], 0.0, 0.0
    for number, step in enumerate(told.steps, 1):
        if step.until != "pass" or step.seconds is None:
            continue
        early = [(name, worse) for name, worse in _blind(step) if _shows_within(worse, step.seconds)]
        if early:
            numbers.append(_step(number, step))
            names += [name for name, _ in early if name not in names]
            seconds = max(worse.likely_seconds or 0.0 for _, worse in early)
            least = max(least, seconds * step.candidate_requests_per_second)
    if not numbers:
        return
    asked = max(_rounded_up(least), request.analysis.min_requests)
    judged = [step for step in told.steps if step.until == "pass"]
    longest = max(asked / step.candidate_requests_per_second - (step.seconds or 0.0) for step in judged)
    passes = "passes" if len(numbers) == 1 else "pass"
    tail = ""
    if longest > 0.0:
        tail = (
            f", and give every step the time for them ({_time(1.25 * asked / _slowest(judged))} at the smallest share)"
        )
    yield (
        f"{_listed(numbers)} {passes} before {_listed(names)} of {FACTOR:g} times the baseline show: ask for more "
        f"requests before a pass (analysis.minRequests {asked}){tail}, or take a smaller margin (analysis.margin)"
    )


def _undecided(told: Forecast) -> Iterator[str]:
    """Name steps whose time is often up before a healthy candidate has passed."""
    numbered = enumerate(told.steps, 1)
    late = [(number, step) for number, step in numbered if step.until == "pass" and step.passes < PASSES]
    if late:
        shares = _listed(f"{100 * step.passes:.0f} %" for _, step in late)
        yield (
            f"only {shares} of healthy candidates pass {_listed(_step(*each) for each in late)} before the time is up: "
            "give them more time (analysis.stepDuration), more weight (steps) or a wider margin (analysis.margin)"
        )


def _inside(told: Forecast) -> Iterator[str]:
    for signal in {signal.signal: signal for step in told.steps for signal in step.signals}.values():
        worse = _worst(signal.regressions)
        if not worse.harmful:
            yield (
                f"{signal.signal}: {FACTOR:g} times the baseline ({100 * worse.rate:.2g} %) is still within the "
                f"objective ({100 * signal.objective:.2g} %), which is no harm; promise more "
                "(servingRequirements) if it should be"
            )


def _blind(step: StepForecast) -> list[tuple[str, Regression]]:
    worst = [(signal.signal, _worst(signal.regressions)) for signal in step.signals]
    return [
        (name, worse) for name, worse in worst if worse.harmful and worse.caught is not None and worse.caught < SEES
    ]


def _worst(regressions: tuple[Regression, ...]) -> Regression:
    return next(worse for worse in regressions if worse.factor == FACTOR)


def _shows_within(worse: Regression, seconds: float) -> bool:
    return worse.likely_seconds is not None and worse.likely_seconds <= seconds


def _slowest(steps: Iterable[StepForecast]) -> float:
    return min(step.candidate_requests_per_second for step in steps)


def _field(request: DeploymentRequest, step: StepForecast) -> str:
    """Return the field of the document that says how long a step takes."""
    if request.deployment_strategy == "rolling":
        return "rolling.hold"
    if request.deployment_strategy == "blue-green":
        return "blueGreen.bake"
    return "steps" if step.until == "time" else "analysis.stepDuration"


def _step(number: int, step: StepForecast) -> str:
    what = f"{100 * step.mirror:g} % copied" if step.mirror else f"{100 * step.share:g} %"
    return f"step {number} ({what})"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _rounded_up(count: float) -> int:
    """Return a number that is as easy to type as it is large enough: two digits and zeros."""
    unit = int(10 ** max(0, math.floor(math.log10(max(count, 1.0))) - 1))
    return math.ceil(count / unit) * unit


def _time(seconds: float) -> str:
    """Return a time as the request document takes it, rounded up: "80s", "45m", "7h"."""
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{math.ceil(seconds / size)}{unit}"
    return f"{math.ceil(seconds)}s"
