"""`tidegate deploy`: a model file in, a result document out, and everything between shown as it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.complete import references
from tidegate.cli.exits import ExitCode
from tidegate.cli.options import MODEL, TRUST, By, File, Framework, GatewayPort, OutputOption, Port, Sample
from tidegate.cli.output import Output, note, print_json, say
from tidegate.cli.session import home_of, login_name

LEVEL = "Service level"
ROLLOUT = "Rollout"
GATES = "Gates"
RUNNING = "Running"
CONTROLLER = "Controller (only where `deploy` has to start it)"


def deploy(
    ctx: typer.Context,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="The model file or folder, or a version in the model registry: models:/NAME@ALIAS, models:/NAME/3.",
            autocompletion=references,
            show_default=False,
        ),
    ] = None,
    *,
    file: File = None,
    name: Annotated[str | None, typer.Option("--name", help="The deployment.", show_default="the file's name")] = None,
    framework: Framework = None,
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            help="The model version that clients see.",
            show_default="the revision's number",
            rich_help_panel=MODEL,
        ),
    ] = None,
    sample: Sample = None,
    trust: Annotated[bool | None, TRUST] = None,
    p99: Annotated[
        str | None,
        typer.Option(
            "--p99",
            metavar="TIME",
            help="99 of 100 requests are answered faster.",
            show_default="100ms",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    throughput: Annotated[
        str | None,
        typer.Option(
            "--throughput",
            metavar="RATE",
            help="The rate to be ready for.",
            show_default="50rps",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    availability: Annotated[
        str | None,
        typer.Option(
            "--availability",
            metavar="SHARE",
            help="The share of requests without a 5xx.",
            show_default="99.9%",
            rich_help_panel=LEVEL,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", help="How the candidate takes over.", show_default="canary", rich_help_panel=ROLLOUT
        ),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="[NAME=]FILE:PERCENT",
            help="A challenger of an A/B test against MODEL, which serves already; once for each.",
            show_default=False,
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    alias: Annotated[
        str | None,
        typer.Option(
            "--alias",
            metavar="ALIAS",
            help="The model's alias that names what is stable: it moves with a promotion, and back with a rollback.",
            show_default=False,
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            metavar="STEPS",
            help="How it gets its users: percents, or cautious, standard, fast; see `tidegate steps explain`.",
            show_default="standard: 5,25,50,100",
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    step_duration: Annotated[
        str | None,
        typer.Option(
            "--step-duration",
            metavar="TIME",
            help="The most time a step takes; a verdict ends it sooner.",
            show_default="5m",
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="TIME",
            help="How long stable alone is measured before the first step.",
            show_default="5s",
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    min_requests: Annotated[
        int | None,
        typer.Option(
            "--min-requests",
            help="Requests the candidate must have answered before a step passes.",
            show_default="50",
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    on_inconclusive: Annotated[
        str | None,
        typer.Option(
            "--on-inconclusive",
            metavar="pause|rollback|continue",
            help="What to do when a step's time is up without a verdict.",
            show_default="pause",
            rich_help_panel=ROLLOUT,
        ),
    ] = None,
    golden: Annotated[
        str | None,
        typer.Option(
            "--golden",
            metavar="FILE",
            help="Requests with the answers that the candidate must give before any user meets it.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None,
    allow_breaking: Annotated[
        bool | None,
        typer.Option(
            "--allow-breaking",
            metavar="",
            help="Go on although clients of stable may be refused, or miss what they read.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None,
    vulnerabilities: Annotated[
        str | None,
        typer.Option(
            "--vulnerabilities",
            metavar="PATH",
            help="Records of OSV in which to look for the packages that the model is served with.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None,
    override_freeze: Annotated[
        str | None,
        typer.Option(
            "--override-freeze",
            metavar="REASON",
            help="Deploy in spite of a freeze; the reason and your name go on record.",
            show_default=False,
            rich_help_panel=GATES,
        ),
    ] = None,
    by: By = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="local|compose",
            help="What runs the replicas: processes beside the controller, or containers of its Compose project.",
            show_default="local",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(
            "--replicas", help="Units that are replaced by themselves.", show_default="2", rich_help_panel=RUNNING
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Serving processes of each.", show_default="1", rich_help_panel=RUNNING),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", help="Inference threads of a process.", show_default="1", rich_help_panel=RUNNING),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            metavar="off|memory|redis",
            help="Where to keep answers for equal requests.",
            show_default="off",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    port: Port = None,
    gateway_port: GatewayPort = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", metavar="", help="Follow the rollout to its end, or return once it has begun."
        ),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", metavar="", help="Check everything, say what would be done, and change nothing."),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> int:
    """Put a model into production.

    Directly when the name is new, step by step when it serves already. The model is checked before anything
    changes. A candidate that does harm is taken back by itself; the exit code is then 3. A rollout that needs your
    decision ends the waiting with 7. Options and the fields of a request document are the same; an option wins.

    $ tidegate deploy churn.skops --p99 50ms --throughput 200rps
    $ tidegate deploy churn-v2.skops --name churn --steps 10,50,100
    $ tidegate deploy models:/churn@challenger --alias champion
    $ tidegate deploy churn.skops --strategy ab-test --arm b.skops:20 --arm c.skops:20
    $ tidegate deploy model.joblib --trust --sample rows.csv
    $ tidegate deploy -f request.yaml --output json > result.json
    $ tidegate deploy churn-v2.skops --name churn --golden golden.json --dry-run
    """
    from tidegate.cli.document import request_from

    flags: dict[str, Any] = {
        "MODEL": model,
        "--name": name,
        "--framework": framework,
        "--version": version,
        "--sample": sample,
        "--trust": trust,
        "--p99": p99,
        "--throughput": throughput,
        "--availability": availability,
        "--strategy": strategy,
        "--arm": arm,
        "--alias": alias,
        "--steps": steps,
        "--step-duration": step_duration,
        "--baseline": baseline,
        "--min-requests": min_requests,
        "--on-inconclusive": on_inconclusive,
        "--golden": golden,
        "--allow-breaking": allow_breaking,
        "--vulnerabilities": vulnerabilities,
        "--target": target,
        "--replicas": replicas,
        "--workers": workers,
        "--threads": threads,
        "--cache": cache,
    }
    request = request_from(flags, file, Path.cwd())

    from tidegate.client import Client
    from tidegate.controller import launch

    home = home_of(ctx)
    who = by or login_name() or "somebody"
    if dry_run:
        from tidegate.cli.dry_run import dry_run_of

        return dry_run_of(home, request, override_freeze, who, output)
    launch.ensure_running(home, port, gateway_port)
    with Client.connect(home) as client:
        accepted = client.deploy(request, override_freeze=override_freeze, by=who)
        return _carry_out(client, accepted, wait=wait, output=output)


def _carry_out(client: Any, accepted: Any, *, wait: bool, output: Output) -> int:
    from tidegate.cli.progress import finish, follow_rollout

    tell = note if output is Output.JSON else say
    name, rollout_id = accepted["deployment"], accepted["rollout"]
    note(*(f"warning: {warning}" for warning in accepted.get("warnings") or []))
    if rollout_id is None:
        tell(f"{name}: revision {accepted['revision']} is exactly this model with these settings; nothing to do.")
        if output is Output.JSON:
            print_json(client.result(name))
        return ExitCode.OK
    if wait:
        return finish(client, name, follow_rollout(client, name, rollout_id, output), output)
    tell(
        f"{name}: rollout {rollout_id} of revision {accepted['revision']} has begun. "
        f"Watch it with: tidegate watch {name}"
    )
    if output is Output.JSON:
        print_json(client.result(name))
    return ExitCode.OK
