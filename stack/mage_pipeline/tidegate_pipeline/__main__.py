"""`python -m tidegate_pipeline`: the commands that the blocks of Mage are thin wrappers of, for people as well."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tidegate.cli.exits import ExitCode, exit_code_of
from tidegate.cli.output import Output, note, print_error, print_json, say
from tidegate.client import Client, ControllerAddress, home_folder
from tidegate.contract.errors import Conflict, InvalidInput, TidegateError
from tidegate.features import FeatureStore
from tidegate_pipeline import limits, outcomes, steps, training
from tidegate_pipeline.delivering import Delivery
from tidegate_pipeline.evaluating import Evaluator
from tidegate_pipeline.slots import NoSlotError, slot
from tidegate_pipeline.source import load_document, parse_source
from tidegate_pipeline.state import PipelineState, utc_now

#: Names the file with the token of a controller elsewhere.
TOKEN_FILE = "TIDEGATE_TOKEN_FILE"  # noqa: S105 (a variable's name)

app = typer.Typer(
    name="tidegate_pipeline",
    help="Ingestion, trainings on an H2O cluster, the registry and the drift sensor, without Mage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Home = Annotated[
    str | None,
    typer.Option("--home", envvar="TIDEGATE_HOME", metavar="DIR", help="Tidegate's home; models are written into it."),
]
Store = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="The store; else TIDEGATE_STORE, else the home's file.")
]
AfterSetback = Annotated[
    float, typer.Option(min=0, help="After a model that was not better, was rolled back or could not be deployed.")
]
Form = Annotated[Output, typer.Option("--output", "-o", help="For people, or one JSON document.")]
WithParent = Annotated[bool, typer.Option("--with-parent", help="End when standard input does.", hidden=True)]
Controller = Annotated[
    str | None,
    typer.Option(
        "--controller",
        envvar="TIDEGATE_CONTROLLER",
        metavar="URL",
        help="A controller elsewhere, with its token in the file that TIDEGATE_TOKEN_FILE names; else the home's.",
    ),
]


@app.command()
def ingest(
    *,
    source: Annotated[Path, typer.Argument(help="The document of a source (YAML or JSON).")],
    restart: Annotated[bool, typer.Option("--restart", help="Read it from the beginning.")] = False,
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Read an HTTP API into a feature view, from where the last run ended.

    Each record is taken once, however often it comes. What cannot be taken is a dead letter: see `dead-letters`.
    """
    from tidegate_pipeline.fetching import Fetcher, client_of
    from tidegate_pipeline.ingestion import Ingestion

    def work() -> Any:
        described, folder = parse_source(load_document(source)), home_folder(home)

        async def run() -> Any:
            with FeatureStore.at(store, folder) as features, PipelineState.at(store, folder) as state:
                if restart:
                    state.forget(described.name)
                async with client_of(described) as client:
                    fetcher = Fetcher(described, client)
                    return await Ingestion(described, features, state, fetcher, progress=note).run()

        try:
            with slot(_folder(folder) / "slots", f"ingestion-{described.name}", 1, 0.0):
                return asyncio.run(run()).as_document()
        except NoSlotError as taken:
            raise Conflict(f"the source {described.name!r} is being read already", subject=described.name) from taken

    def told(done: Any) -> list[str]:
        http = done["http"]
        taken = f"{done['written']:,} vectors written, {done['unchanged']:,} unchanged"
        dead = f"{done['dead_records']:,} dead letters, {done['dead_pages']:,} pages lost"
        return [
            f"{done['records']:,} records of {done['pages']:,} pages: {taken}, {dead}.",
            f"{http['requests']:,} requests: {http['throttled']:,} throttled, {http['failed']:,} failed.",
        ]

    _do(work, told, output, with_parent)


@app.command("dead-letters")
def dead_letters(
    *,
    source: Annotated[str | None, typer.Argument(help="Of this source; else of all.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 100,
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Show what could not be taken: records with the reason, and pages that were given up."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state:
            return {"letters": [steps.plain(one) for one in state.letters(source, limit=limit)]}

    def told(found: Any) -> list[str]:
        return [
            f"{one['kind']} {one['source']}/{one['stream']} {one['position']}: {one['reason']}"
            for one in found["letters"]
        ]

    _do(work, told, output, with_parent)


@app.command()
def plan(
    *,
    setup: Annotated[Path, typer.Argument(help="The document of a retraining (YAML or JSON).")],
    run: Annotated[str | None, typer.Option("--run", help="A run that was claimed; else a new one.")] = None,
    new_run: Annotated[str | None, typer.Option("--new-run", help="What a new one is called.")] = None,
    deployment: Annotated[
        str | None, typer.Option(help="Where the better model is tried; else the one that the document names.")
    ] = None,
    within_limits: Annotated[bool, typer.Option("--within-limits", help="Claim a new run, as `claim` does.")] = False,
    cool_down_hours: Annotated[float, typer.Option(min=0, help="After a retraining, before the next.")] = 6.0,
    most_a_day: Annotated[int, typer.Option(min=0, help="Retrainings within 24 hours.")] = 4,
    after_setback_hours: AfterSetback = 24.0,
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Put the trainings of a run on record: one for each segment and configuration."""

    def work() -> Any:
        asked = steps.asked_for(setup, deployment)
        allowed = _limits(cool_down_hours, most_a_day, after_setback_hours)
        with PipelineState.at(store, home_folder(home)) as state:
            name = run or new_run or steps.new_run()
            if run is None and within_limits:
                steps.claim(state, asked.model, "asked for", allowed, name)
            return steps.plan(state, asked, name)

    def told(made: Any) -> list[str]:
        small = [f"too small: {name} ({rows:,} rows)" for name, rows in made["tooSmall"].items()]
        return [f"run {made['run']}: {len(made['trainings'])} trainings", *small]

    _do(work, told, output, with_parent)


@app.command()
def train(
    *,
    run: Annotated[str, typer.Argument(help="The run.")],
    name: Annotated[str, typer.Argument(help="The training in it.")],
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Train one model of a run on the H2O cluster. One that fails is on record as failed; the exit code is 0."""

    def work() -> Any:
        folder = home_folder(home)
        with PipelineState.at(store, folder) as state:
            return steps.plain(training.train(state, run, name, _folder(folder), note))

    _do(work, lambda row: [f"{row['name']}: {row['state']}"], output, with_parent)


@app.command()
def board(
    *,
    run: Annotated[str, typer.Argument(help="The run.")],
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Rank the trainings of a run, say which failed, and whether the cluster is up."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state:
            return steps.board(state, run, note)

    def told(report: Any) -> list[str]:
        state = "up" if report["cluster"]["is_up"] else "NOT well"
        ended = f"{len(report['ranked'])} trained, {len(report['failed'])} failed, {report['atOnce']} at once"
        return [f"{ended}; the cluster is {state}."]

    _do(work, told, output, with_parent)


@app.command()
def report(
    *,
    run: Annotated[str | None, typer.Argument(help="The run; else the last one that ended.")] = None,
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Show what came of a run: the leaderboard, what failed and why, what was registered, and what became of that."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state:
            return steps.report(state, run)

    _do(work, _told_of, output, with_parent)


@app.command()
def retrain(
    *,
    setup: Annotated[Path, typer.Argument(help="The document of a retraining (YAML or JSON).")],
    deployment: Annotated[
        str | None, typer.Option(help="Where the better model is tried; else the one that the document names.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Go on with this run, which did not get to its end.")] = None,
    why: Annotated[str, typer.Option(help="A sentence.")] = "asked for",
    when_drifted: Annotated[bool, typer.Option("--when-drifted", help="Only if `sense` says that it is due.")] = False,
    at_least: Annotated[str, typer.Option(help="How far it must have drifted: moderate or large.")] = "moderate",
    min_requests: Annotated[int, typer.Option(min=0, help="That the reading must be of.")] = 1000,
    by: Annotated[str, typer.Option(help="What may be a reason: columns, quality, performance, together.")] = "",
    max_age_hours: Annotated[float, typer.Option(min=0, help="Of the reading.")] = 24.0,
    force: Annotated[bool, typer.Option("--force", help="Whatever the limits say.")] = False,
    cool_down_hours: Annotated[float, typer.Option(min=0, help="After a retraining, before the next.")] = 6.0,
    most_a_day: Annotated[int, typer.Option(min=0, help="Retrainings within 24 hours.")] = 4,
    after_setback_hours: AfterSetback = 24.0,
    home: Home = None,
    store: Store = None,
    controller: Controller = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Do all of it here, one after another: claim, train, rank, register, compare, and deploy what is better.

    The exit code is 3 where a model was not promoted, and 4 where the limits speak against a retraining.
    """

    def work() -> Any:
        asked, folder = steps.asked_for(setup, deployment), home_folder(home)
        needed = steps.Needed(str(asked.deployment), asked.model, at_least, min_requests, by, max_age_hours)
        allowed = None if force else _limits(cool_down_hours, most_a_day, after_setback_hours)
        with PipelineState.at(store, folder) as state, _client(home, controller) as client:
            whole = steps.Everything(state, client, _folder(folder), note)
            return whole.run(asked, run=run, why=why, allowed=allowed, needed=needed if when_drifted else None)

    def told(done: Any) -> list[str]:
        return _told_of(done) if done["due"] else [f"Not due: {done['why']}"]

    _do(work, told, output, with_parent, _code_of)


@app.command()
def register(
    *,
    run: Annotated[str, typer.Argument(help="The run.")],
    home: Home = None,
    store: Store = None,
    controller: Controller = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Register the best model of each segment of a run as MOJO; the same run again changes nothing."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state, _client(home, controller) as client:
            return {"run": run, "registered": steps.register(state, client, run)}

    _do(
        work, lambda done: [f"{one['training']}: {one['reference']}" for one in done["registered"]], output, with_parent
    )


@app.command()
def evaluate(
    *,
    run: Annotated[str, typer.Argument(help="The run.")],
    home: Home = None,
    store: Store = None,
    controller: Controller = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Compare the models that a run registered with what serves, on fresh rows. The exit code is 0 either way."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state, _client(home, controller) as client:
            return {
                "run": run,
                "outcomes": [steps.plain(one) for one in Evaluator(state, client, run, note).evaluate()],
            }

    _do(work, lambda done: outcomes.lines(done["outcomes"]), output, with_parent)


@app.command()
def deploy(
    *,
    run: Annotated[str, typer.Argument(help="The run.")],
    home: Home = None,
    store: Store = None,
    controller: Controller = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Deploy the models of a run that are better than what serves, and wait for the ends of their rollouts.

    The same run again goes on with the same rollouts. The exit code is 0 however they ended.
    """

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state, _client(home, controller) as client:
            delivery = Delivery(state, client, run, _folder(home_folder(home)), note)
            return {"run": run, "outcomes": [steps.plain(one) for one in delivery.deliver()]}

    _do(work, lambda done: outcomes.lines(done["outcomes"]), output, with_parent)


@app.command()
def sense(
    *,
    deployment: Annotated[str, typer.Argument(help="The deployment whose drift is asked for.")],
    model: Annotated[
        str | None, typer.Option(help="The model that is retrained; else called as the deployment.")
    ] = None,
    at_least: Annotated[str, typer.Option(help="How far it must have drifted: moderate or large.")] = "moderate",
    min_requests: Annotated[int, typer.Option(min=0, help="That the reading must be of.")] = 1000,
    by: Annotated[str, typer.Option(help="What may be a reason: columns, quality, performance, together.")] = "",
    cool_down_hours: Annotated[float, typer.Option(min=0, help="After a retraining, before the next.")] = 6.0,
    max_age_hours: Annotated[float, typer.Option(min=0, help="Of the reading.")] = 24.0,
    most_a_day: Annotated[int, typer.Option(min=0, help="Retrainings within 24 hours.")] = 4,
    after_setback_hours: AfterSetback = 24.0,
    home: Home = None,
    store: Store = None,
    controller: Controller = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Ask whether to retrain: by the drift that the controller found, and within the limits.

    Rollouts of earlier retrainings that have ended meanwhile are put on record; nothing else is changed.
    """

    def work() -> Any:
        needed = steps.Needed(deployment, model or deployment, at_least, min_requests, by, max_age_hours)
        with PipelineState.at(store, home_folder(home)) as state, _client(home, controller) as client:
            return steps.sense(state, client, needed, _limits(cool_down_hours, most_a_day, after_setback_hours))

    _do(work, lambda said: [f"{'Due' if said['due'] else 'Not due'}: {said['why']}"], output, with_parent)


@app.command()
def claim(
    *,
    model: Annotated[str, typer.Argument(help="The model that is to be retrained.")],
    why: Annotated[str, typer.Option(help="A sentence.")] = "asked for",
    cool_down_hours: Annotated[float, typer.Option(min=0, help="After a retraining, before the next.")] = 6.0,
    most_a_day: Annotated[int, typer.Option(min=0, help="Retrainings within 24 hours.")] = 4,
    after_setback_hours: AfterSetback = 24.0,
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Put a retraining on record, where the limits allow one: of two who ask at once one is told no."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state:
            allowed = _limits(cool_down_hours, most_a_day, after_setback_hours)
            run = steps.new_run()
            against = state.claim(run, model, why, lambda past: limits.against(past, utc_now(), allowed))
        return {"run": run if against is None else None, "why": against or why}

    _do(work, lambda said: [f"run {said['run']}" if said["run"] else f"No: {said['why']}"], output, with_parent)


@app.command()
def release(
    *,
    run: Annotated[str, typer.Argument(help="The run that was claimed.")],
    home: Home = None,
    store: Store = None,
    output: Form = Output.TEXT,
    with_parent: WithParent = False,
) -> None:
    """Take back a claim whose retraining could not be started, so that the limits do not count it."""

    def work() -> Any:
        with PipelineState.at(store, home_folder(home)) as state:
            return {"run": run, "released": state.release(run)}

    _do(work, lambda done: ["released" if done["released"] else "there is no such claim"], output, with_parent)


def _limits(cool_down_hours: float, most_a_day: int, after_setback_hours: float) -> limits.Limits:
    return limits.Limits(timedelta(hours=cool_down_hours), most_a_day, timedelta(hours=after_setback_hours))


def _told_of(found: dict[str, Any]) -> list[str]:
    best = [f"best: {', '.join(found['best']) or 'none'}"]
    failed = [f"failed: {one['name']}: {one['error']}" for one in found["failed"]]
    tried = {one["reference"] for one in found["outcomes"]}
    registered = [one["reference"] for one in found.get("registered", []) if one["reference"] not in tried]
    why = f"run {found['run']} of {found['model']}, {found['claimedAt']}: {found['why']}"
    return [why, *best, *failed, *registered, *outcomes.lines(found["outcomes"])]


def _code_of(done: dict[str, Any]) -> ExitCode:
    """Return 3 where a model of a retraining did not come to serve."""
    ends = {one["state"] for one in done.get("outcomes", [])}
    return ExitCode.OK if ends <= {outcomes.Outcome.PROMOTED} else ExitCode.TAKEN_BACK


def _folder(home: Path) -> Path:
    return home / "pipeline"


def _client(home: str | None, controller: str | None) -> Client:
    if controller is None:
        return Client.connect(home)
    file = os.environ.get(TOKEN_FILE)
    if not file:
        raise InvalidInput(
            "the token of the controller is not known",
            subject="--controller",
            hint=f"{TOKEN_FILE} names the file that holds it",
        )
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except OSError as wrong:
        raise InvalidInput(f"{file} cannot be read: {wrong.strerror}", subject=TOKEN_FILE) from wrong
    return Client(ControllerAddress(controller.rstrip("/"), token))


def _do(
    work: Callable[[], Any],
    told: Callable[[Any], list[str]],
    output: Output,
    with_parent: bool,
    code: Callable[[Any], int] = lambda _document: 0,
) -> None:
    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        # H2O's client writes where it likes; what is written there is read by programs.
        with contextlib.redirect_stdout(sys.stderr):
            document = work()
    except TidegateError as error:
        print_error(error, output)
        raise SystemExit(int(exit_code_of(error))) from error
    except KeyboardInterrupt:
        note("Interrupted; what was begun goes on, and the same run again finds it.")
        raise SystemExit(int(ExitCode.INTERRUPTED)) from None
    if output is Output.JSON:
        print_json(document)
    else:
        say(*told(document))
    if code(document):
        raise SystemExit(int(code(document)))


def _end_with_parent() -> None:
    # Not by sys.stdin: Python ends with an abort where a thread holds its lock.
    while os.read(0, 4096):
        pass
    # Who asked is gone. What is under way is made so that it may end at any moment.
    os._exit(130)


if __name__ == "__main__":
    app(prog_name="python -m tidegate_pipeline")
