"""`tidegate retrain`: from new data to a promoted model, or to the reason why there is none."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import Name, OutputOption
from tidegate.cli.output import Output, note, print_json, say
from tidegate.cli.session import home_of
from tidegate.contract.errors import InvalidInput, Unavailable

LIMITS = "Limits"
DRIFT = "Drift"
MAGE = "Mage"


class Engine(StrEnum):
    """Where the steps of a retraining are done."""

    LOCAL = "local"
    MAGE = "mage"


def retrain(
    ctx: typer.Context,
    name: Name,
    *,
    engine: Annotated[
        Engine, typer.Option("--engine", help="local: here, one step after another; mage: by a pipeline of Mage.")
    ] = Engine.LOCAL,
    setup: Annotated[
        str,
        typer.Option("--setup", metavar="FILE", help="The document of the retraining; with mage, where Mage sees it."),
    ] = "retraining.yaml",
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="Go on with a run that did not get to its end.", show_default=False),
    ] = None,
    when_drifted: Annotated[
        bool,
        typer.Option(
            "--when-drifted",
            metavar="",
            help="Only where the last readings of drift are a reason (local; Mage has the pipeline drift_watch).",
            rich_help_panel=DRIFT,
        ),
    ] = False,
    at_least: Annotated[
        str, typer.Option("--at-least", help="How far it must have drifted.", rich_help_panel=DRIFT)
    ] = "moderate",
    min_requests: Annotated[
        int, typer.Option("--min-requests", min=0, help="That a reading must be of.", rich_help_panel=DRIFT)
    ] = 1000,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Whatever the limits say.", rich_help_panel=LIMITS)
    ] = False,
    cool_down: Annotated[
        str,
        typer.Option(
            "--cool-down", metavar="TIME", help="After a retraining, before the next.", rich_help_panel=LIMITS
        ),
    ] = "6h",
    after_setback: Annotated[
        str,
        typer.Option(
            "--after-setback",
            metavar="TIME",
            help="After one whose model was not better, was rolled back or could not be deployed.",
            rich_help_panel=LIMITS,
        ),
    ] = "24h",
    most_a_day: Annotated[
        int, typer.Option("--most-a-day", min=0, help="Retrainings within 24 hours.", rich_help_panel=LIMITS)
    ] = 4,
    trigger: Annotated[
        str | None,
        typer.Option(
            "--trigger",
            envvar="TIDEGATE_MAGE_TRIGGER",
            metavar="URL",
            help="The API trigger of the pipeline, without its token: …/api/pipeline_schedules/3/api_trigger.",
            show_default=False,
            rich_help_panel=MAGE,
        ),
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            "--token-file",
            envvar="TIDEGATE_MAGE_TOKEN_FILE",
            metavar="FILE",
            help="The file with the trigger's token.",
            show_default=False,
            rich_help_panel=MAGE,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Retrain a deployment's model on H2O, compare it with stable on fresh rows, and deploy it if it is better.

    Steps: train, rank, register, compare, put on trial as a canary, and write down what came of it. The exit code is 0
    where the model was promoted, 3 where it was not, 4 where the limits speak against a retraining. A run that was
    killed goes on with --run, and finds its rollout again. The how-to on retraining has the document.

    $ tidegate retrain churn --setup retraining.yaml
    $ tidegate retrain churn --setup retraining.yaml --when-drifted
    $ tidegate retrain churn --engine mage --setup retraining.yaml --token-file trigger.token
    """
    from tidegate.cli import pipeline_process
    from tidegate.contract.quantities import Duration

    limits: dict[str, Any] = {
        "cool-down-hours": Duration.parse(cool_down, field="--cool-down").seconds / 3600,
        "after-setback-hours": Duration.parse(after_setback, field="--after-setback").seconds / 3600,
        "most-a-day": most_a_day,
    }
    home = home_of(ctx)
    if engine is Engine.LOCAL:
        words: list[object] = [setup, "--deployment", name, "--output", output.value]
        words += ["--run", run] if run is not None else []
        words += ["--force"] if force else []
        words += ["--when-drifted", "--at-least", at_least, "--min-requests", min_requests] if when_drifted else []
        words += [word for option, value in limits.items() for word in (f"--{option}", value)]
        return pipeline_process.run(home, "retrain", *words)
    if when_drifted:
        raise InvalidInput(
            "--when-drifted is of the engine local", subject="--when-drifted", hint="Mage has the pipeline drift_watch"
        )
    variables = {"setup": setup, "deployment": name, "claim": not force}
    variables |= {option.replace("-", "_"): value for option, value in limits.items()}
    variables |= {"run": run} if run is not None else {"new_run": f"cli{time.time_ns():x}"}
    return _by_mage(home, variables, *_trigger_of(trigger, token_file), output)


def _trigger_of(trigger: str | None, token_file: str | None) -> tuple[str, str]:
    """Return the URL of a trigger and its token."""
    if trigger is None or token_file is None:
        raise InvalidInput(
            "which pipeline is to be started is not known",
            subject="--trigger" if trigger is None else "--token-file",
            expected="the URL of an API trigger, and the file with its token",
            hint="Mage shows both under Triggers of the pipeline retraining",
        )
    try:
        token = Path(token_file).read_text(encoding="utf-8").strip()
    except OSError as wrong:
        raise InvalidInput(f"{token_file} cannot be read: {wrong.strerror}", subject="--token-file") from wrong
    return trigger, token


def _by_mage(home: Path, variables: dict[str, Any], trigger: str, token: str, output: Output) -> int:
    from tidegate.cli import mage_runs, pipeline_process

    named = variables.get("run") or variables["new_run"]
    number = mage_runs.start(trigger, token, variables)
    note(f"Mage's run {number}, run {named} of the pipeline")
    ended = mage_runs.follow(trigger, token, number, note)
    found = pipeline_process.ask(home, "report", named)
    if found is None:
        raise Unavailable(
            f"Mage's run {number} is {ended}, and what came of it is not on record here",
            subject=named,
            hint=f"see the logs of the run in Mage, or where its store is: python -m tidegate_pipeline report {named}",
        )
    outcomes = found["outcomes"]
    if output is Output.JSON:
        print_json({**found, "mageRun": {"id": number, "status": ended}})
    else:
        say(*(f"{one['reference']}: {one['state']}: {one['reason']}" for one in outcomes))
    is_promoted = ended == "completed" and {one["state"] for one in outcomes} <= {"promoted"}
    return ExitCode.OK if is_promoted else ExitCode.TAKEN_BACK
