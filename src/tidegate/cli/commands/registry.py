"""`tidegate registry`: models, their versions, what they were made from, and the aliases and stages that move."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.complete import model_names
from tidegate.cli.exits import ExitCode
from tidegate.cli.options import TRUST, By, File, Framework, OutputOption, Reason, Sample
from tidegate.cli.output import Output, console, is_terminal, note, print_json, say
from tidegate.cli.session import connect, login_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tidegate.client import ModelVersion
    from tidegate.client.imports import Brought
    from tidegate.client.registry import ModelRegistry

LINEAGE = "What it was made from"

Registered = Annotated[
    str, typer.Argument(metavar="NAME", help="The model.", autocompletion=model_names, show_default=False)
]
Reference = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="NAME/3, NAME@ALIAS, NAME/STAGE or NAME/latest, with models:/ before it or without.",
        autocompletion=model_names,
        show_default=False,
    ),
]


def add(
    ctx: typer.Context,
    name: Registered,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The model file or folder.", show_default=False)
    ] = None,
    *,
    file: File = None,
    framework: Framework = None,
    sample: Sample = None,
    trust: Annotated[bool | None, TRUST] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME=NUMBER", help="What it reached; once for each.", show_default=False),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="FILE", help="Metrics as a JSON object of numbers.", show_default=False),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="FILE|URI",
            help="Data that it was trained on; of a file, its sha256 is kept. Once for each.",
            show_default=False,
            rich_help_panel=LINEAGE,
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            "--code", help="A commit, a URL, an image.", show_default=False, metavar="TEXT", rich_help_panel=LINEAGE
        ),
    ] = None,
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent", metavar="NAME/3", help="The version before it.", show_default=False, rich_help_panel=LINEAGE
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="ID",
            help="The run of an experiment tracker.",
            show_default=False,
            rich_help_panel=LINEAGE,
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="Of this version.", show_default=False)
    ] = "",
    about: Annotated[
        str | None, typer.Option("--about", metavar="TEXT", help="What the model is for.", show_default=False)
    ] = None,
    alias: Annotated[
        list[str] | None,
        typer.Option("--alias", metavar="ALIAS", help="Let it name this version; once for each.", show_default=False),
    ] = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Check a model, keep it as a bundle, and register it as the next version.

    A version never changes. To say the same again of the same file gives the version that it was, so a job may be
    repeated. Settings of a runtime stand in a request document: -f takes its modelArtifact.

    $ tidegate registry add churn churn.skops --metric auc=0.91 --data rows.parquet --code 1a2b3c
    $ tidegate registry add churn churn-v2.skops --parent churn/1 --alias challenger --metrics metrics.json
    $ tidegate registry add fraud model.joblib --trust --sample rows.csv --output json
    """
    from tidegate.cli.registration import artifact_of, lineage_of, metrics_of
    from tidegate.contract.models import check_alias

    aliases = [check_alias(one) for one in alias or []]
    here = Path.cwd()
    artifact = artifact_of(model, file, here, framework=framework, sample=sample, trust=trust)
    numbers = metrics_of(metric or [], metrics, here)
    lineage = lineage_of(data or [], here, code=code, parent=parent, run=run)
    who = by or login_name()
    with connect(ctx) as client:
        registry = client.registry
        _refuse_new_numbers(registry, name, aliases)
        added = registry.add(
            name, artifact, metrics=numbers, lineage=lineage, description=description, about=about, by=who
        )
        number = added["version"]["version"]
        told = [registry.move_alias(name, one, number, reason="registered", by=who) for one in aliases]
        if told:
            added["version"] = told[-1]["version"]
    note(*(f"warning: {warning}" for warning in added["warnings"]))
    note(*(f"warning: {warning}" for one in told for warning in one["warnings"]))
    if output is Output.JSON:
        print_json(added)
        return
    reference = added["version"]["reference"]
    if not added["created"]:
        say(f"{reference} is exactly this; nothing to do.")
    else:
        say(f"{reference} is registered. Deploy it with: tidegate deploy {_quoted(reference)}")


def list_(ctx: typer.Context, *, output: OutputOption = Output.TEXT) -> None:
    """List the models with their aliases.

    $ tidegate registry list
    """
    with connect(ctx) as client:
        models = client.registry.models()
    if output is Output.JSON:
        print_json({"models": models})
    elif not models:
        say("No models. Register one with: tidegate registry add NAME MODEL")
    else:
        from tidegate.cli.registry_tables import models_table

        console().print(models_table(models, _now(), boxed=is_terminal()))


def show(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="NAME|VERSION",
            help="A model; or a version: NAME/3, NAME@ALIAS, NAME/STAGE, NAME/latest.",
            autocompletion=model_names,
            show_default=False,
        ),
    ],
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show a model with its versions and every move of its aliases, or all of one version.

    $ tidegate registry show churn
    $ tidegate registry show churn@champion
    $ tidegate registry show churn/3 --output json | jq .metrics
    """
    from tidegate.cli.registry_tables import model_view, version_view
    from tidegate.contract.models import SCHEME, is_model_name

    name = what.removeprefix(SCHEME)
    with connect(ctx) as client:
        if is_model_name(name):
            model = client.registry.model(name)
            document: Any = model
            view = model_view(model, _now(), boxed=is_terminal())
        else:
            version = client.registry.version(what)
            document, view = version, version_view(version, boxed=is_terminal())
    if output is Output.JSON:
        print_json(document)
    else:
        console().print(view)


def compare(
    ctx: typer.Context,
    left: Reference,
    right: Reference,
    *,
    every: Annotated[
        bool, typer.Option("--all", metavar="", help="Also packages of the environment that are the same.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show two versions side by side: metrics, what they take and give, what they were made with.

    What differs is marked with ≠. What would break clients of the first is said as a rollout would say it.

    $ tidegate registry compare churn/1 churn/2
    $ tidegate registry compare churn@champion churn/latest --all
    """
    with connect(ctx) as client:
        compared = client.registry.compare(left, right)
    if output is Output.JSON:
        print_json(compared)
        return
    from tidegate.cli.registry_tables import comparison_view

    console().print(comparison_view(compared, every=every, boxed=is_terminal()))


def alias(
    ctx: typer.Context,
    name: Registered,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The alias.", show_default=False)],
    version: Annotated[
        int | None, typer.Argument(metavar="NUMBER", help="The version that it names.", show_default=False, min=1)
    ] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", metavar="", help="Take it away.")] = False,
    expect: Annotated[
        int | None,
        typer.Option(
            "--expect",
            metavar="NUMBER",
            help="Only where it names this version, 0 for none: nobody else's move is undone.",
            show_default=False,
            min=0,
        ),
    ] = None,
    reason: Reason = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let an alias name a version, or take it away. Every move stays on record.

    It changes nothing of what serves: `deploy` does. An alias that follows a deployment (`deploy --alias`) moves with
    its promotions and rollbacks.

    $ tidegate registry alias churn champion 3 --reason "best on March"
    $ tidegate registry alias churn champion 4 --expect 3
    $ tidegate registry alias churn challenger --remove
    """
    from tidegate.contract.errors import InvalidInput

    if remove == (version is not None):
        raise InvalidInput(
            "An alias names a version, or is taken away.",
            expected="the number of a version, or --remove",
            got="both" if remove else "neither",
            hint=f"Try: tidegate registry alias {name} {alias} 1, or tidegate registry alias {name} {alias} --remove",
        )
    who = by or login_name()
    with connect(ctx) as client:
        if version is None:
            told = client.registry.remove_alias(name, alias, reason=reason, by=who)
            said = f"{name}@{alias} is taken away; it named version {told['before']}."
        else:
            told = client.registry.move_alias(name, alias, version, expected=expect, reason=reason, by=who)
            said = f"{name}@{alias} names version {version}{'' if told['moved'] else ' already'}."
    note(*(f"warning: {warning}" for warning in told.get("warnings") or []))
    if output is Output.JSON:
        print_json(told)
    else:
        say(said)


def stage(
    ctx: typer.Context,
    version: Reference,
    stage: Annotated[
        str, typer.Argument(metavar="STAGE", help="none, staging, production or archived.", show_default=False)
    ],
    *,
    reason: Reason = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what is thought of a version. Every change stays on record; rollouts change none.

    $ tidegate registry stage churn/3 staging --reason "passed the offline tests"
    $ tidegate registry stage churn@champion production
    """
    from tidegate.contract.models import check_stage

    changed = _staged(ctx, version, check_stage(stage), reason, by)
    if output is Output.JSON:
        print_json(changed)
    else:
        say(f"{changed['reference']} is in the stage {changed['stage']}.")


def archive(
    ctx: typer.Context, version: Reference, *, reason: Reason = None, by: By = None, output: OutputOption = Output.TEXT
) -> None:
    """Put a version out of use: it stays on record with its bundle, and is not deployed any more.

    Refused with exit code 4 while it is deployed, or named by an alias. Back again: `tidegate registry stage`.

    $ tidegate registry archive churn/1 --reason "trained on leaked labels"
    """
    from tidegate.contract.models import ARCHIVED

    changed = _staged(ctx, version, ARCHIVED, reason, by)
    if output is Output.JSON:
        print_json(changed)
    else:
        say(f"{changed['reference']} is archived.")


def import_(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder with MODEL/VERSION in it, or MLflow's tracking URI.",
            show_default=False,
        ),
    ],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this one; once for each.", show_default="all"),
    ] = None,
    mlflow: Annotated[
        bool, typer.Option("--mlflow", metavar="", help="SOURCE is a folder of MLflow's own files (mlruns).")
    ] = False,
    trust: Annotated[bool | None, TRUST] = None,
    by: By = None,
    output: OutputOption = Output.TEXT,
) -> int:
    """Bring models in from a folder, or from a registry of MLflow's, oldest version first.

    In a folder a version is a file, or a folder with one; metrics and more may lie beside it as VERSION.version.json.
    From MLflow come files, metrics, run, code, aliases and stages (the extra `mlflow`). What is refused stops none of
    the others, and ends with exit code 2. To import again changes nothing; aliases that are here stay where they are.

    $ tidegate registry import models
    $ tidegate registry import sqlite:///mlflow.db --model churn
    $ tidegate registry import http://127.0.0.1:5000 --trust --output json
    """
    from tidegate.cli.registration import versions_from
    from tidegate.client.imports import bring_in

    found = versions_from(source, model or [], Path.cwd(), mlflow=mlflow)
    brought: list[Brought] = []
    with connect(ctx) as client:
        for one in bring_in(client.registry, found, trust=bool(trust), by=by or login_name()):
            brought.append(one)
            (note if output is Output.JSON else say)(*_brought_lines(one))
    refused = [one for one in brought if one.refusal is not None]
    if output is Output.JSON:
        print_json({"versions": [one.as_dict() for one in brought]})
    else:
        new = sum(one.created for one in brought)
        say(f"{new} new, {len(brought) - new - len(refused)} there before, {len(refused)} refused.")
    return ExitCode.BAD_INPUT if refused else ExitCode.OK


def _refuse_new_numbers(registry: ModelRegistry, name: str, aliases: Sequence[str]) -> None:
    """Raise InvalidInput for an alias that may not be made, before anything is registered."""
    from tidegate.contract.errors import NotFound
    from tidegate.contract.models import check_new_alias

    numbers = [one for one in aliases if one.isdecimal()]
    if not numbers:
        return
    try:
        known = registry.model(name)["aliases"]
    except NotFound:
        known = {}
    for one in numbers:
        if one not in known:
            check_new_alias(one)


def _staged(ctx: typer.Context, version: str, stage: Any, reason: str | None, by: str | None) -> ModelVersion:
    with connect(ctx) as client:
        found = client.registry.version(version)
        return client.registry.set_stage(found["model"], found["version"], stage, reason=reason, by=by or login_name())


def _brought_lines(one: Brought) -> list[str]:
    from tidegate.cli.output import error_lines

    there = f"{one.model} {one.number}"
    if one.refusal is not None:
        return [f"{there}: refused", *(f"  {line}" for line in error_lines(one.refusal))]
    what = "registered as" if one.created else "is there as"
    return [f"{there}: {what} models:/{one.model}/{one.version}", *(f"  {line}" for line in one.notes)]


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
