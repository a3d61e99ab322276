"""`tidegate forecast`: what a rollout will see, before anything is deployed. Needs no controller and no model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.commands.deploy import deploy
from tidegate.cli.options import File, OutputOption
from tidegate.cli.output import Output, console, is_terminal, print_json

Traffic = Annotated[
    str | None,
    typer.Option(
        "--traffic", metavar="RATE", help="All requests that come in.", show_default="the throughput of the request"
    ),
]
BaselineRate = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline-rate",
        metavar="[SIGNAL=]SHARE",
        help="Stable's bad requests; of errors, latency or rejections, or of all three. May be given several times.",
        show_default="what the objective tolerates",
    ),
]

#: Options of `deploy` that say nothing about the rollout.
_OF_DEPLOY_ALONE = ("port", "gateway_port", "wait", "output", "file")


def _with_options_of_deploy(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command every option of `deploy` that sets a field of the request, so that the two stay the same."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())
    theirs = inspect.signature(deploy, eval_str=True).parameters.values()
    named = {parameter.name for parameter in own}
    shared = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in theirs
        if parameter.name not in named and parameter.name not in _OF_DEPLOY_ALONE
    ]
    own = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    model = [parameter for parameter in shared if parameter.name == "model"]
    rest = [parameter for parameter in shared if parameter.name != "model"]
    every = [own[0], *model, *own[1:], *rest]
    signature = inspect.Signature([parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in every])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in every}
    return command


@_with_options_of_deploy
def forecast(
    ctx: typer.Context,
    *,
    file: File = None,
    traffic: Traffic = None,
    baseline_rate: BaselineRate = None,
    output: OutputOption = Output.TEXT,
    **of_request: Any,
) -> None:
    """Say what a rollout will see, before anything is deployed.

    For each step: the smallest regression that it detects, how soon the judge fails a candidate that is 2, 5 or 10
    times as bad as stable, how many bad answers users get until then, when a healthy candidate passes; and what to
    change in a step that sees nothing. Computed by the judge itself on simulated requests, in some seconds; no
    controller, no model and no traffic are needed.

    $ tidegate forecast -f request.yaml --traffic 50rps
    $ tidegate forecast --steps 10,50,100 --step-duration 10m --traffic 5rps --baseline-rate errors=0.2%
    $ tidegate forecast -f request.yaml --output json | jq .suggestions
    """
    from tidegate.cli.document import flags_of, planned_request_from
    from tidegate.trial.forecast import forecast as computed
    from tidegate.trial.forecast import parsed_baseline_rates

    request = planned_request_from(flags_of(of_request), file, Path.cwd())
    told = computed(request, traffic=traffic, baseline_rates=parsed_baseline_rates(baseline_rate or []))
    if output is Output.JSON:
        print_json(told)
        return
    from tidegate.cli.outlook import forecast_view

    console().print(forecast_view(told, boxed=is_terminal()))
