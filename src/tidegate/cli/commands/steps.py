"""`tidegate steps explain`: what a list of steps asks for, without a model and without a controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say

if TYPE_CHECKING:
    from tidegate.contract.steps import Step


def explain(
    steps: Annotated[
        str | None,
        typer.Argument(metavar="STEPS", help="What --steps takes; without it, every named list.", show_default=False),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what each step of a list does, how long it takes at most, and what ends it.

    A step is a percentage (of the requests, to the hundredth; 5:10m with the most time it may take), shadow:20 (copy
    20 % of the requests; shadow:20:10m), pause (until somebody resumes), pause:10m, or bake:1h (stable stays ready).

    $ tidegate steps explain
    $ tidegate steps explain cautious
    $ tidegate steps explain shadow:20:10m,0.5:15m,5,pause,25,100,bake:1h
    """
    from tidegate.contract.steps import PRESETS

    lists = dict(PRESETS) if steps is None else {steps: _checked(steps)}
    if output is Output.JSON:
        print_json(
            {
                name: [step.model_dump(mode="json", exclude_none=True) for step in listed]
                for name, listed in lists.items()
            }
        )
        return
    for name, listed in lists.items():
        if len(lists) > 1:
            say(f"{name}:")
        console().print(_table(listed))
        if len(lists) > 1:
            say("")


def _checked(text: str) -> tuple[Step, ...]:
    """Return the steps as a request document would take them. Raises InvalidInput."""
    from tidegate.cli.document import in_words_of_flags, parsed_steps
    from tidegate.contract.errors import InvalidInput
    from tidegate.contract.request import parse_request

    document: dict[str, Any] = {"modelArtifact": {"path": "model"}, "servingRequirements": {}}
    listed = parsed_steps(text)
    is_canary = not isinstance(listed, list) or any("weight" in step for step in listed)
    strategy = "canary" if is_canary else "shadow"
    try:
        return parse_request({**document, "deploymentStrategy": strategy, "steps": listed}).trial
    except InvalidInput as error:
        raise in_words_of_flags(error, {"--steps": text}) from None


def _table(listed: Sequence[Step]) -> Any:
    from tidegate.cli.render import listing

    table = listing(is_terminal(), "STEP", "USERS ON THE CANDIDATE", "WHAT HAPPENS", "ENDS WELL WITH", "TAKES")
    users = "none"
    for number, step in enumerate(listed, start=1):
        if step.weight is not None:
            users = f"{step.weight:g} %"
        table.add_row(str(number), users, *_told(step))
    return table


def _told(step: Step) -> tuple[str, str, str]:
    """Return what happens in a step, what ends it well, and how long that takes."""
    few = f", on {step.replicas} of its replicas" if step.replicas is not None else ""
    longest = f"at most {step.duration or '5m (analysis.stepDuration)'}"
    if step.shadow is not None:
        return f"{step.shadow:g} % of the requests are copied to it{few}", "the judge's pass", longest
    if step.bake is not None:
        return "stable stays ready beside it", "time without harm", str(step.bake)
    if step.pause == "person":
        return "everything stays as it is", "tidegate resume", "until you say so"
    if step.pause is not None:
        return "everything stays as it is", "time without harm", str(step.pause)
    return f"the judge compares it with stable{few}", "the judge's pass", longest
