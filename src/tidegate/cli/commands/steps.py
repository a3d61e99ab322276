"""`tidegate steps explain`: what a list of steps asks for, without a model and without a controller."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json, say

if TYPE_CHECKING:
    from tidegate.cli.steps_table import Kind, Told
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
    from tidegate.cli.steps_table import HEADINGS, rows

    table = listing(is_terminal(), *HEADINGS)
    for row in rows(_told(listed)):
        table.add_row(*row)
    return table


def _told(listed: Sequence[Step]) -> list[Told]:
    from tidegate.cli.steps_table import Told

    told: list[Told] = []
    for step in listed:
        weight = step.weight if step.weight is not None else told[-1].weight if told else 0
        held = step.bake or step.pause
        if held is None:
            longest = str(step.duration or "5m (analysis.stepDuration)")
            kind: Kind = "shadow" if step.shadow is not None else "weight"
            told.append(Told(kind, weight, step.shadow or 0, longest, step.replicas))
        else:
            kind = "bake" if step.bake is not None else "pause"
            told.append(Told(kind, weight, takes=None if held == "person" else str(held)))
    return told
