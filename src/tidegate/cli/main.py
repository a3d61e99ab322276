"""The command `tidegate`. Importing this loads Typer and nothing heavier; commands import what they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from tidegate import __version__
from tidegate.cli.commands import (
    db,
    decide,
    deploy,
    doctor_versions,
    drift,
    drift_history,
    drift_performance,
    drift_quality,
    drift_watch,
    features,
    foresee,
    freeze,
    golden,
    mojo,
    notify,
    observe,
    outcomes,
    pack,
    predictions,
    registry,
    rehearse,
    rejudge,
    retrain,
    scan,
    serve,
    standalone,
    steps,
)
from tidegate.cli.exits import ExitCode
from tidegate.cli.group import TidegateGroup
from tidegate.cli.helptext import help_of

DAILY = "Deploy and look"
DECIDING = "Decide"
MODELS = "Models"
ALONE = "Without a controller"
ITSELF = "Tidegate itself"

EXIT_CODES = "\n".join(["Exit codes:", *(f"{code.value:>4}  {code.meaning}" for code in ExitCode)])

Command = Callable[..., int | None]

#: Every command, in the order of the help. A name of two words is a command of the group that the first one names.
COMMANDS: tuple[tuple[str, str, Command], ...] = (
    ("deploy", DAILY, deploy.deploy),
    ("status", DAILY, observe.status),
    ("list", DAILY, observe.list_),
    ("watch", DAILY, observe.watch),
    ("history", DAILY, observe.history),
    ("logs", DAILY, observe.logs),
    ("report", DAILY, observe.report),
    ("notifications", DAILY, notify.notifications),
    ("outcomes send", DAILY, outcomes.send),
    ("outcomes show", DAILY, outcomes.show),
    ("predictions", DAILY, predictions.predictions),
    ("promote", DECIDING, decide.promote),
    ("weights", DECIDING, decide.weights),
    ("pause", DECIDING, decide.pause),
    ("resume", DECIDING, decide.resume),
    ("abort", DECIDING, decide.abort),
    ("rollback", DECIDING, decide.rollback),
    ("delete", DECIDING, decide.delete),
    ("golden record", DECIDING, golden.record),
    ("rehearse", DECIDING, rehearse.rehearse),
    ("freeze add", DECIDING, freeze.add),
    ("freeze list", DECIDING, freeze.list_),
    ("freeze remove", DECIDING, freeze.remove),
    ("registry add", MODELS, registry.add),
    ("registry list", MODELS, registry.list_),
    ("registry show", MODELS, registry.show),
    ("registry compare", MODELS, registry.compare),
    ("registry alias", MODELS, registry.alias),
    ("registry stage", MODELS, registry.stage),
    ("registry archive", MODELS, registry.archive),
    ("registry import", MODELS, registry.import_),
    ("retrain", MODELS, retrain.retrain),
    ("steps explain", ALONE, steps.explain),
    ("forecast", ALONE, foresee.forecast),
    ("judge replay", ALONE, rejudge.replay),
    ("drift check", ALONE, drift.check),
    ("drift report", ALONE, drift.report),
    ("drift reference", ALONE, drift.reference),
    ("features create", ALONE, features.create),
    ("features list", ALONE, features.list_),
    ("features show", ALONE, features.show),
    ("features load", ALONE, features.load),
    ("features get", ALONE, features.get),
    ("features history", ALONE, features.history),
    ("features training-set", ALONE, features.training_set),
    ("features quarantine", ALONE, features.quarantine),
    ("drift performance", ALONE, drift_performance.performance),
    ("drift quality", ALONE, drift_quality.quality),
    ("drift watch", ALONE, drift_watch.watch),
    ("drift history", ALONE, drift_history.history),
    ("drift sensor", ALONE, drift_history.sensor),
    ("mojo inspect", ALONE, mojo.inspect),
    ("mojo predict", ALONE, mojo.predict),
    ("mojo verify", ALONE, mojo.verify),
    ("mojo to-onnx", ALONE, mojo.to_onnx),
    ("mojo compile", ALONE, mojo.compile_kernels),
    ("scan", ALONE, scan.scan),
    ("serve", ALONE, standalone.serve),
    ("pack", ALONE, pack.pack),
    ("up", ITSELF, serve.up),
    ("down", ITSELF, serve.down),
    ("doctor", ITSELF, serve.doctor),
    ("doctor versions", ITSELF, doctor_versions.versions),
    ("db init", ITSELF, db.init),
    ("db upgrade", ITSELF, db.upgrade),
    ("db check", ITSELF, db.check),
    ("db maintain", ITSELF, db.maintain),
    ("version", ITSELF, serve.version),
)

app = typer.Typer(
    name="tidegate",
    cls=TidegateGroup,
    invoke_without_command=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=EXIT_CODES,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(
            "--home",
            envvar="TIDEGATE_HOME",
            metavar="DIR",
            help="Where Tidegate keeps its state; may stand after the command as well.",
            show_default="the user's data folder",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    """Put a trained model into production step by step, and take it back by itself when it misbehaves.

    $ tidegate deploy churn.skops --p99 50ms --throughput 200rps
    $ tidegate deploy churn-v2.skops --name churn
    $ tidegate watch churn
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


#: What the help says of each group.
GROUPS = {
    "drift": "Whether data has drifted from what a model was trained on, and what that does to its answers.",
    "features": "The feature store: vectors of entities, looked up by key, and joined to labels as they were then.",
    "judge": "Ask the judge about what was recorded.",
    "freeze": "Spans of time in which nothing is deployed: add, list, remove.",
    "steps": "The stages of a rollout: what they ask for.",
    "outcomes": "What came of requests later: send it, show it.",
    "mojo": "H2O's MOJO files: what they are, their scores, a comparison with H2O, ONNX, compiling ahead.",
    "db": "The database that the store is in: make its tables, bring them to date, check them, maintain them.",
    "registry": "The model registry: versions that never change, and the aliases and stages that move over them.",
    "golden": "Requests with the answers that candidates must give: record.",
}


def _group(name: str, panel: str, own: Command | None) -> typer.Typer:
    """Return a group of commands. With a command of its own name, that is what the name alone does."""
    told = GROUPS[name] if own is None else help_of(own)
    group = typer.Typer(help=told, rich_markup_mode="rich", invoke_without_command=True)

    def alone(ctx: typer.Context) -> None:
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())

    group.callback()(own or alone)
    app.add_typer(group, name=name, rich_help_panel=panel, help=told)
    return group


_alone = {name: command for name, _, command in COMMANDS if " " not in name}
_grouped = {name.partition(" ")[0] for name, _, _ in COMMANDS if " " in name}
_groups: dict[str, typer.Typer] = {}
for _name, _panel, _command in COMMANDS:
    _first, _, _second = _name.partition(" ")
    if _first in _grouped and _first not in _groups:
        _groups[_first] = _group(_first, _panel, _alone.get(_first))
    if _second:
        _groups[_first].command(_second, help=help_of(_command))(_command)
    elif _first not in _grouped:
        app.command(_first, rich_help_panel=_panel, help=help_of(_command))(_command)


def main() -> None:
    """Entry point of the script `tidegate`."""
    app(prog_name="tidegate")


if __name__ == "__main__":
    main()
