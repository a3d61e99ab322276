"""`tidegate serve`: one model on one port, in the foreground, with neither controller nor gateway."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.exits import ExitCode
from tidegate.cli.options import MODEL, TRUST, Framework, Sample, Settings
from tidegate.cli.output import Output, note, say
from tidegate.contract.errors import InvalidInput, TidegateError, Unavailable

if TYPE_CHECKING:
    from tidegate.contract.quantities import Duration

RUNNING = "Running"


class Cache(StrEnum):
    """Where answers are kept."""

    OFF = "off"
    MEMORY = "memory"
    REDIS = "redis"


#: What the supervisor's process says with its exit code.
_NO_ADDRESS, _UNSERVABLE = 69, 78
_KILLED_AFTER_SECONDS = 60.0


def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The model file or folder.", show_default=False)
    ] = None,
    *,
    repository: Annotated[
        str | None,
        typer.Option(
            "--repository",
            metavar="DIR",
            help="Instead of MODEL: a folder of models, each a folder of versions. Allows load and unload.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The model to its clients.", show_default="the file's name", rich_help_panel=MODEL),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            help="The model version that clients see.",
            show_default="1, or the newest",
            rich_help_panel=MODEL,
        ),
    ] = None,
    framework: Framework = None,
    sample: Sample = None,
    settings: Settings = None,
    trust: Annotated[bool, TRUST] = False,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.", rich_help_panel=RUNNING)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="0 takes a free one.", rich_help_panel=RUNNING)
    ] = 8080,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            "--grpc-port",
            metavar="PORT",
            help="Port for gRPC; 0 takes a free one.",
            show_default="no gRPC",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            "--workers",
            metavar="NUMBER",
            help="Serving processes; auto takes one per core, at most 4.",
            rich_help_panel=RUNNING,
        ),
    ] = "1",
    threads: Annotated[
        int, typer.Option("--threads", min=1, help="Requests a process computes at once.", rich_help_panel=RUNNING)
    ] = 1,
    p99: Annotated[
        str,
        typer.Option(
            "--p99",
            metavar="TIME",
            help="99 of 100 requests are to be answered faster: bounds batches and waiting.",
            rich_help_panel=RUNNING,
        ),
    ] = "50ms",
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="How long a request may take that does not say so itself.",
            rich_help_panel=RUNNING,
        ),
    ] = "1m",
    cache: Annotated[
        Cache,
        typer.Option(
            "--cache",
            help="Where to keep answers for equal requests; for redis set TIDEGATE_CACHE_URL.",
            rich_help_panel=RUNNING,
        ),
    ] = Cache.OFF,
    prediction_log: Annotated[
        str | None,
        typer.Option(
            "--prediction-log",
            metavar="FILE",
            help="Write every request's inputs and outputs there, as JSON lines.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            metavar="",
            help="Serve a newer model as soon as there is one; with --version, that version anew when it changes.",
            show_default=False,
            rich_help_panel=RUNNING,
        ),
    ] = False,
    output: Annotated[
        Output, typer.Option("--output", help="text for people; json for one event per line.", rich_help_panel=RUNNING)
    ] = Output.TEXT,
) -> int:
    """Serve one model on one port, in the foreground, until Ctrl-C.

    No controller and no gateway: no canary and no way back either. `deploy` has both.

    $ tidegate serve churn.skops
    $ tidegate serve churn.skops --port 9000 --workers auto --watch
    $ tidegate serve --repository models --name churn
    """
    if (model is None) == (repository is None):
        raise InvalidInput(
            "serve takes a MODEL or --repository DIR, one of them", hint="for example: tidegate serve churn.skops"
        )
    options = ["--repository", str(_existing(repository))] if repository is not None else []
    if model is not None:
        path = _existing(model)
        options += ["--model-file", str(path)]
        name = name or _name_of(path)
    given = {"--model": name, "--model-version": version, "--framework": framework, "--sample": sample}
    given |= {"--settings": None if settings is None else str(_existing(settings))}
    given |= {"--grpc-port": None if grpc_port is None else str(grpc_port)}
    options += [word for option, value in given.items() if value is not None for word in (option, value)]
    options += ["--host", host, "--port", str(port), "--workers", workers]
    options += ["--trust"] if trust else []
    options += ["--watch-seconds", "1"] if watch else []
    serving = ["--threads", str(threads), "--cache", cache.value]
    serving += ["--latency-objective-ms", f"{_positive('--p99', p99).ms:g}"]
    serving += ["--timeout-seconds", f"{_positive('--timeout', timeout).seconds:g}"]
    if prediction_log is not None:
        serving += ["--prediction-log", f"jsonl:{Path(prediction_log).absolute()}"]
    show = _print_event if output is Output.JSON else _Narrator().tell
    with tempfile.TemporaryDirectory(prefix="tidegate-serve-") as folder:
        return _run([*options, "--run-dir", folder, "--", *serving], Path(folder), show)


def _positive(option: str, text: str) -> Duration:
    from tidegate.contract.quantities import Duration

    duration = Duration.parse(text, field=option)
    if duration.microseconds == 0:
        raise InvalidInput(f"{option}: a time above 0 is needed", subject=option, got=text)
    return duration


def _existing(text: str | None) -> Path:
    path = Path(text or "").absolute()
    if not path.exists():
        raise InvalidInput(f"there is no {text}", subject=text)
    return path


def _name_of(path: Path) -> str:
    """Return a model's name from its file's: what a URL and a label can carry."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in path.name.partition(".")[0])
    return kept.strip("-").lower() or "model"


def _run(options: list[str], folder: Path, show: Callable[[Mapping[str, Any]], None]) -> int:
    """Run the supervisor until it ends; Ctrl-C and SIGTERM drain it, and it ends when this process does."""
    command = [sys.executable, "-m", "tidegate.server.supervisor", *options[: options.index("--")]]
    command += ["--announce", "--end-with-stdin", *options[options.index("--") :]]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        try:
            # By its name and not by import: the command line holds nothing of what a server needs.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for this process, which passes it on once
            )
        except OSError as error:
            raise Unavailable(f"the server cannot be started: {error}") from error
    failure: TidegateError | None = None
    with _passing_on(process):
        assert process.stdout is not None  # noqa: S101 (it was asked for)
        for line in process.stdout:
            event = json.loads(line)
            failure = _failure_of(event) or failure
            show(event)
        code = process.wait()
    if code == 0:
        return ExitCode.OK
    raise failure or _died(code, log_file)


@contextmanager
def _passing_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """Pass signals on as the one that drains; when this block ends for another reason, so does the server."""

    def drain(*_: object) -> None:
        if process.poll() is None:
            process.terminate()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, drain) for number in numbers}
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_KILLED_AFTER_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure_of(event: Mapping[str, Any]) -> TidegateError | None:
    if event["event"] != "unservable":
        return None
    told = event["error"]
    details = {key: told.get(key) for key in ("subject", "expected", "got", "hint")}
    if told.get("code") == "not_trusted":
        details["hint"] = details["hint"] or "if you trust who made it: add --trust"
    return InvalidInput(str(told["message"]), **details)


def _died(code: int, log_file: Path) -> TidegateError:
    last = ""
    for line in log_file.read_text(errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            last = line
            continue
        if event.get("level") in ("error", "critical"):
            last = event["message"]
    if code == _NO_ADDRESS:
        return InvalidInput(last or "the address cannot be listened on", hint="choose another --port")
    if code in (2, _UNSERVABLE):
        return InvalidInput(last or "the model cannot be served")
    return Unavailable(f"the server ended with code {code}: {last}")


def _print_event(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class _Narrator:
    """Tells a person what the supervisor announces."""

    def __init__(self) -> None:
        self._url = ""
        self._grpc: int | None = None
        self._pid = 0
        self._is_serving = False

    def tell(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "listening":
                host = "127.0.0.1" if event["host"] in ("0.0.0.0", "::") else event["host"]  # noqa: S104 (a comparison)
                self._url, self._grpc, self._pid = f"http://{host}:{event['port']}", event["grpc_port"], event["pid"]
            case "loading" if not self._is_serving:
                note("Checking and loading the model …")
            case "loading":
                note(f"Loading version {event['version']} beside the one that serves …")
            case "serving" if not self._is_serving:
                self._is_serving = True
                say(*self._first_words(event))
            case "serving":
                say(f"Version {event['version']} serves now, after {event['seconds']:.1f} s.")
            case "refused":
                note(f"Version {event['version']} is refused: {event['error']['message']}")
            case "worker-died":
                note(f"Worker {event['worker']} died (code {event['code']}); another one is started.")
            case "unloaded":
                say(f"Version {event['version']} is unloaded.")
            case "unchanged":
                say("The model is the one that is served.")
            case "stopping":
                note("Stopping: requests in flight are finished. Once more gives them up.")

    def _first_words(self, event: Mapping[str, Any]) -> list[str]:
        lines = [f"Serving version {event['version']}, {event['seconds']:.1f} s after the start."]
        lines += [f"  predict  {self._url}/predict", f"  docs     {self._url}/docs"]
        lines += [f"  metrics  {self._url}/metrics"]
        lines += [] if self._grpc is None else [f"  gRPC     port {self._grpc}"]
        lines += [f"  process  {self._pid} (kill -HUP serves the model anew, as the file is then)"]
        if event.get("sample") is not None:
            body = shlex.quote(json.dumps([event["sample"]], ensure_ascii=False))
            lines += ["Try:", f"  curl {self._url}/predict -H 'content-type: application/json' -d {body}"]
        return [*lines, "Ctrl-C ends it."]
