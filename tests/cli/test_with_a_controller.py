"""The command line as its users meet it: real processes against a real controller, gateway and replicas."""

from __future__ import annotations

import json
import os
import pickle
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from tests.support import models
from tests.support.quick_models import write_flights, write_minutes
from tidegate.cli.main import app
from tidegate.client import Client, Event
from tidegate.contract.errors import Conflict, InvalidInput, NotFound, ReasonRequired, Unavailable
from tidegate.contract.result import DeploymentResult
from tidegate.controller import launch

pytestmark = pytest.mark.e2e

#: Generous: the tests share two cores with others.
PATIENCE_SECONDS = 60.0
#: A rollout that goes on for longer than any test, at its first step.
LONG = ["--step-duration", "10m", "--baseline", "0s"]
#: One that nobody sends requests to, and that therefore waits for a person after a second.
HURRIED = ["--step-duration", "1s", "--baseline", "0s", "--on-inconclusive", "pause"]


def eventually(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")


@dataclass
class Answer:
    """What a finished command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """The command `tidegate` for one home."""

    home: Path
    folder: Path

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        environment = {**os.environ, "TIDEGATE_HOME": str(self.home), "COLUMNS": "160"}
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate.cli.main", *args],
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def __call__(self, *args: str) -> Answer:
        """Run a command to its end in this process, which costs no start of Python."""
        result = CliRunner().invoke(app, list(args), env={"TIDEGATE_HOME": str(self.home), "COLUMNS": "160"})
        return Answer(result.exit_code, result.stdout, result.stderr)

    def json(self, *args: str) -> Any:
        answer = self(*args, "--output", "json")
        assert answer.code == 0, answer.err
        return answer.document

    def in_phase(self, name: str, *phases: str) -> dict[str, Any]:
        """Wait until the deployment is in one of the phases and return its status."""

        def there() -> dict[str, Any] | None:
            with Client.connect(self.home) as client:
                status = dict(client.status(name))
            return status if status["phase"] in phases else None

        found: dict[str, Any] = eventually(f"{name} in {phases}", there)
        return found


@pytest.fixture(scope="module")
def tidegate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    folder = tmp_path_factory.mktemp("cli")
    command = CommandLine(folder / "home", folder)
    try:
        answer = command("up", "--port", "0", "--gateway-port", "0")
        assert answer.code == 0, answer.err
        yield command
    finally:
        launch.stop(command.home)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flights(tmp_path_factory.mktemp("models") / "arrivals.onnx")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flights(tmp_path_factory.mktemp("models") / "other.onnx", from_hour=15.0)


@pytest.fixture(scope="module")
def served(tidegate: CommandLine, model: Path) -> Answer:
    """The first deployment, and what `deploy` said about it."""
    answer = tidegate("deploy", str(model), "--p99", "250ms", "--replicas", "1")
    assert answer.code == 0, answer.err
    return answer


def test_up_says_where_everything_is_and_may_be_typed_again(tidegate: CommandLine) -> None:
    first, second = tidegate.json("up"), tidegate.json("up")
    assert first == second
    assert httpx.get(f"{first['controller_url']}/healthz").status_code == 200
    assert httpx.get(f"{first['gateway_url']}/v2/health/live").status_code == 200


@pytest.mark.parametrize(("option", "value"), [("--port", "1"), ("--envoys", "3")])
def test_up_with_another_port_or_number_of_envoys_is_refused_while_it_runs(
    tidegate: CommandLine, option: str, value: str
) -> None:
    answer = tidegate("up", option, value)
    assert answer.code == 2
    assert f"tidegate down, then tidegate up {option} {value}" in answer.err


@pytest.mark.parametrize("number", ["0", "9", "two"])
def test_a_number_of_envoys_that_makes_no_sense_is_bad_input(tmp_path: Path, number: str) -> None:
    command = CommandLine(tmp_path / "home", tmp_path)
    answer = command("up", "--envoys", number)
    assert answer.code == 2
    assert "--envoys" in answer.err
    assert not command.home.exists()


def test_a_controller_that_is_started_again_has_as_many_envoys_as_before(tmp_path: Path) -> None:
    command = CommandLine(tmp_path / "home", tmp_path)
    try:
        for options in (["--envoys", "3"], []):
            assert command("up", "--port", "0", "--gateway-port", "0", *options).code == 0
            assert len(list(command.home.glob("gateway/envoy-*/envoy.json"))) == 3
            address = json.loads((command.home / "controller.json").read_text())
            assert address["envoys"] == 3
            launch.stop(command.home)
    finally:
        launch.stop(command.home)


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_port_already_taken_is_bad_input(option: str, tmp_path: Path) -> None:
    command = CommandLine(tmp_path / "home", tmp_path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        answer = command("up", *(["--gateway-port", "0"] if option == "--port" else ["--port", "0"]), option, port)
    assert answer.code == 2, answer.err
    assert port in answer.err
    assert launch.running(command.home) is None


def bad_models(folder: Path, model: Path) -> dict[str, tuple[Path, str]]:
    """Return models that must be refused, and a word that the refusal must hold."""
    whole = model.read_bytes()
    truncated, pickled = folder / "truncated.onnx", folder / "pickled.pkl"
    unknown, empty = folder / "unknown.bin", folder / "empty.onnx"
    truncated.write_bytes(whole[: len(whole) // 2])
    models.write_pickled({"weights": [1, 2, 3]}, pickled, "pickle")
    assert pickle.loads(pickled.read_bytes())
    unknown.write_bytes(os.urandom(4096))
    empty.write_bytes(b"")
    return {
        "truncated": (truncated, "truncated.onnx"),
        "pickle": (pickled, "--trust"),
        "unknown": (unknown, "unknown.bin"),
        "empty": (empty, "empty.onnx"),
    }


@pytest.mark.parametrize("kind", ["truncated", "pickle", "unknown", "empty"])
def test_a_model_that_cannot_be_served_is_refused_and_nothing_is_changed(
    kind: str, tidegate: CommandLine, model: Path, tmp_path: Path
) -> None:
    path, said = bad_models(tmp_path, model)[kind]
    bundles = tidegate.home / "bundles"
    before = tidegate.json("list"), sorted(bundles.iterdir())
    answer = tidegate("deploy", str(path), "--output", "json")
    assert answer.code == 2, answer
    assert said in answer.err
    assert answer.document["error"]["code"] in {"invalid_input", "not_trusted"}
    assert (tidegate.json("list"), sorted(bundles.iterdir())) == before


def test_a_deploy_in_a_log_is_one_line_per_event_and_a_summary(served: Answer) -> None:
    lines = served.out.splitlines()
    events = [line for line in lines if re.match(r"\d{4}-\d\d-\d\dT", line)]
    assert events
    assert all(datetime.fromisoformat(line.split()[0]).tzinfo for line in events)
    assert any(line.startswith("arrivals: revision 1 is in production after") for line in lines)
    assert "\x1b" not in served.out


def test_the_example_of_the_summary_works_as_it_is_pasted(served: Answer) -> None:
    words = shlex.split(next(line for line in served.out.splitlines() if line.strip().startswith("curl ")))
    url, body = words[2], words[words.index("-d") + 1]
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"]


def test_deploying_the_same_again_changes_nothing_and_returns_the_result(
    tidegate: CommandLine, served: Answer, model: Path
) -> None:
    result = tidegate.json("deploy", str(model), "--p99", "250ms", "--replicas", "1")
    DeploymentResult.model_validate(result)
    assert result["revision"] == 1
    assert len(tidegate.json("history", "arrivals")["revisions"]) == 1


def test_looking_commands_answer_in_text_and_in_json(tidegate: CommandLine, served: Answer) -> None:
    assert "arrivals" in tidegate("list").out
    assert [status["name"] for status in tidegate.json("list")["deployments"]] == ["arrivals"]
    assert "1 stable" in tidegate("status", "arrivals").out
    assert tidegate.json("status", "arrivals")["split_asked"] == {"1": 100}
    assert "promoted" in tidegate("history", "arrivals").out
    assert tidegate("report", "arrivals").out.startswith("# Rollout")
    rollout_id = tidegate.json("history", "arrivals")["rollouts"][0]["id"]
    assert json.loads(tidegate("report", rollout_id, "--format", "json").out)["outcome"] == "promoted"
    assert tidegate.json("logs", "arrivals", "--lines", "5")["lines"]
    assert tidegate("doctor").code == 0


def test_what_does_not_exist_is_not_found(tidegate: CommandLine) -> None:
    for command in ("status", "watch", "history", "promote", "logs", "report"):
        answer = tidegate(command, "nobody")
        assert (answer.code, answer.out) == (5, ""), command
        assert "nobody" in answer.err
    assert tidegate("report", "999999").code == 5


def test_what_the_state_does_not_allow_is_a_conflict(tidegate: CommandLine, served: Answer) -> None:
    for command in ("promote", "pause", "resume", "abort", "rollback"):
        answer = tidegate(command, "arrivals", "--output", "json")
        assert answer.code == 4, command
        assert answer.document["error"]["code"] == "conflict"


def test_a_rollout_from_the_keyboard(tidegate: CommandLine, served: Answer, model: Path, other: Path) -> None:
    """One rollout that nobody sends requests to, with everything that a person may do to it and to who waits for it."""
    candidate = ["deploy", str(other), "--name", "arrivals", "--replicas", "1"]
    deploying = tidegate.start(*candidate, *LONG, "--output", "json")
    rollout_id = tidegate.in_phase("arrivals", "analyzing")["rollout"]["id"]

    conflict = tidegate("deploy", str(model), "--name", "arrivals", "--p99", "99ms")
    assert conflict.code == 4
    assert "tidegate watch arrivals" in conflict.err

    assert tidegate.json("pause", "arrivals", "--reason", "campaign", "--by", "ada")["phase"] == "paused"
    out, err = deploying.communicate(timeout=PATIENCE_SECONDS)
    assert deploying.returncode == 7
    assert json.loads(out)["error"]["code"] == "rollout_waits_for_person"
    for command in ("promote", "resume", "abort"):
        assert f"tidegate {command} arrivals" in err
    assert tidegate("watch", "arrivals").code == 7
    assert tidegate("resume", "arrivals").code == 0

    log = tidegate.folder / "watched"
    with log.open("w") as stream:
        watching = tidegate.start("watch", "arrivals", stdout=stream)
        interrupted = tidegate.start("watch", "arrivals")
        eventually("events", log.read_text)
        assert interrupted.stdout is not None
        interrupted.stdout.readline()
        interrupted.send_signal(signal.SIGINT)
        _, err = interrupted.communicate(timeout=PATIENCE_SECONDS)
        assert interrupted.returncode == 130
        assert "tidegate watch arrivals" in err
        assert "tidegate abort arrivals" in err
        assert "Traceback" not in err

        kill_controller(tidegate)
        eventually("a note", lambda: "the controller does not answer" in log.read_text())
        assert tidegate("up").code == 0
        eventually("a note", lambda: "the controller answers again" in log.read_text())

        assert tidegate("abort", "arrivals", "--reason", "wrong file", "--by", "grace", "--wait").code == 0
        assert watching.wait(PATIENCE_SECONDS) == 3
    ending = log.read_text()
    assert "wrong file" in ending
    assert "Revision 1 serves all traffic." in ending
    report = tidegate("report", rollout_id).out
    for said in ("campaign", "ada", "wrong file", "grace"):
        assert said in report
    replayed = tidegate.json("judge", "replay", rollout_id, "--alpha", "0.1%")
    assert replayed["settings"]["replayed"]["alpha"] == "0.1%"
    assert replayed["happened"][-1]["phase"] == "aborted"
    assert tidegate("judge", "replay", "arrivals").code == 0
    assert tidegate("judge", "replay", "nobody").code == 5


def kill_controller(tidegate: CommandLine) -> None:
    info = launch.running(tidegate.home)
    assert info is not None
    controller = psutil.Process(info.pid)
    controller.kill()
    controller.wait(10)


def in_a_terminal(tidegate: CommandLine, *args: str, **environment: str) -> tuple[int, str]:
    """Run a command in a pseudo-terminal; return its exit code and all that it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.cli.main", *args],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **os.environ,
            "TIDEGATE_HOME": str(tidegate.home),
            "TERM": "xterm-256color",
            "COLUMNS": "120",
            "LINES": "50",
            **environment,
        },
        start_new_session=True,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is gone with the last process that held it
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(PATIENCE_SECONDS), written.decode()


def test_a_terminal_gets_a_live_view_and_then_the_summary(tidegate: CommandLine, served: Answer, other: Path) -> None:
    steps = ["--steps", "30,100", *HURRIED]
    code, shown = in_a_terminal(tidegate, "deploy", str(other), "--name", "arrivals", "--replicas", "1", *steps)
    assert code == 7
    for words in ("1 stable", " candidate", "▶ 30 %", "elapsed", "Ctrl-C stops watching and nothing else", "\x1b["):
        assert words in shown, words
    last = shown[shown.rindex("waits for you") :]
    assert "tidegate promote arrivals" in last


def test_no_color_is_heeded(tidegate: CommandLine, served: Answer) -> None:
    _, coloured = in_a_terminal(tidegate, "status", "arrivals")
    _, plain = in_a_terminal(tidegate, "status", "arrivals", NO_COLOR="1")
    assert "\x1b[32m" in coloured
    assert not re.search(r"\x1b\[3[0-7]m", plain)
    assert "arrivals" in plain


@pytest.mark.parametrize(("typed", "offered"), [("arr", ["arrivals"]), ("x", [])])
def test_names_of_deployments_are_completed(
    typed: str, offered: list[str], tidegate: CommandLine, served: Answer
) -> None:
    environment = {
        **os.environ,
        "TIDEGATE_HOME": str(tidegate.home),
        "_TIDEGATE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"tidegate status {typed}",
        "COMP_CWORD": "2",
    }
    script = Path(sys.executable).with_name("tidegate")
    result = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == offered


def test_a_token_that_is_wrong_is_said(tidegate: CommandLine, served: Answer, tmp_path: Path) -> None:
    (tmp_path / "controller.json").write_text((tidegate.home / "controller.json").read_text())
    (tmp_path / "token").write_text("guessed")
    answer = CommandLine(tmp_path, tmp_path)("list")
    assert answer.code == 6
    assert "token" in answer.err


def test_the_python_client_does_what_the_command_line_does(tidegate: CommandLine, served: Answer) -> None:
    waiting = tidegate.in_phase("arrivals", "paused")["rollout"]
    with Client.connect(tidegate.home) as client:
        with pytest.raises(Unavailable, match="has not ended after"):
            client.wait("arrivals", waiting["id"], timeout_seconds=0.2, until_person=False)
        client.promote("arrivals", by="ada", reason="known to be good")
        heard: list[Event] = []
        ended = client.wait("arrivals", waiting["id"], timeout_seconds=PATIENCE_SECONDS, on_event=heard.append)
        assert ended["phase"] == "promoted"
        assert heard == list(client.events("arrivals", rollout=waiting["id"]))
        assert heard[-1]["kind"] == "promoted"
        assert next(client.events("arrivals", rollout=waiting["id"], follow=True)) == heard[0]
        assert client.sample("arrivals")[0].keys() == set(models.COLUMNS)
        with pytest.raises(Conflict):
            client.resume("arrivals")
        with pytest.raises(NotFound):
            client.status("nobody")
        with pytest.raises(InvalidInput, match="latencyP99"):
            client.deploy({"modelArtifact": {"path": "/m"}, "servingRequirements": {"latencyP99": "fast"}})


def test_going_back_and_deleting(tidegate: CommandLine, served: Answer) -> None:
    assert tidegate.in_phase("arrivals", "serving")["stable"] > 1
    assert tidegate("rollback", "arrivals", "--to", "1", "--wait").code == 0
    assert tidegate.json("status", "arrivals")["stable"] == 1
    refused = tidegate("delete", "arrivals")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert tidegate("delete", "arrivals", "--yes", "--by", "ada").code == 0
    assert tidegate("status", "arrivals").code == 5


def test_a_freeze_refuses_a_deploy_until_somebody_takes_it_upon_them(
    tidegate: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = write_flights(tmp_path_factory.mktemp("frozen") / "frozen.onnx")
    added = tidegate.json("freeze", "add", "frozen", "--reason", "year-end", "--for", "4h", "--by", "bob")
    everywhere = tidegate("freeze", "add", "--reason", "next week", "--start", "2999-01-01", "--end", "2999-01-02")
    assert "nothing is deployed to any deployment from 2999-01-01" in everywhere.out
    listed = tidegate("freeze", "list").out
    assert re.search(r"frozen +holds .* bob +year-end", listed)
    assert re.search(r"every one +to come ", listed)
    refused = tidegate("deploy", str(model))
    assert refused.code == 4
    assert "(bob: year-end)" in refused.err
    assert "frozen" not in [status["name"] for status in tidegate.json("list")["deployments"]]
    word = ["--override-freeze", "a hotfix", "--by", "ada"]
    deployed = tidegate("deploy", str(model), *word)
    assert deployed.code == 0, deployed.err
    with Client.connect(tidegate.home) as client:
        begun = next(event for event in client.events("frozen") if event["kind"] == "preparing")
    assert begun["message"].endswith("in spite of a freeze, says ada: a hotfix")
    assert begun["data"]["freeze_override"]["freezes"][0]["id"] == added["id"]
    again = tidegate("deploy", str(model), "--p99", "200ms", "--baseline", "10s", "--no-wait", *word)
    assert again.code == 0, again.err
    assert tidegate("abort", "frozen", "--wait").code == 0, "a freeze never holds up the way back"
    assert tidegate("freeze", "remove", str(added["id"])).code == 0
    assert tidegate("freeze", "remove", str(added["id"])).code == 4
    assert tidegate("freeze", "remove", "999").code == 5
    for freeze in tidegate.json("freeze", "list")["freezes"]:
        tidegate("freeze", "remove", str(freeze["id"]))
    assert tidegate("freeze", "list").out == "No freezes.\n"
    assert len(tidegate.json("freeze", "list", "--all")["freezes"]) == 2
    assert "removed by" in tidegate("freeze", "list", "--all").out


def test_a_dry_run_tells_the_plan_and_changes_nothing(
    tidegate: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("planned")
    model, other = write_minutes(folder / "planned.onnx"), write_flights(folder / "other.onnx")
    bundles = sorted((tidegate.home / "bundles").iterdir())
    first = tidegate("deploy", str(model), "--dry-run")
    assert first.code == 0, first.err
    assert "It would begin." in first.out
    assert "planned" not in [status["name"] for status in tidegate.json("list")["deployments"]]
    assert sorted((tidegate.home / "bundles").iterdir()) == bundles
    assert tidegate("deploy", str(model)).code == 0
    same = tidegate.json("deploy", str(model), "--dry-run")
    assert (same["action"], same["refusals"]) == ("none", [])
    deployed = tidegate.json("status", "planned")["rollout"]["id"]
    broken = tidegate("deploy", str(other), "--name", "planned", "--dry-run", "--output", "json")
    assert broken.code == 2
    assert broken.document["error"]["code"] == "breaking_change"
    preview = broken.document["preview"]
    assert preview["contract"]["against"] == 1
    assert [step["weight"] for step in preview["plan"]["steps"]] == [5, 25, 50, 100]
    assert {signal["signal"] for signal in preview["judge"]["signals"]} == {"errors", "latency", "rejections"}
    assert {finding["level"] for finding in preview["readiness"]} <= {"pass", "warn"}
    assert tidegate.json("status", "planned")["rollout"]["id"] == deployed
    pickled = folder / "pickled.pkl"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    refused = tidegate("deploy", str(pickled), "--dry-run")
    assert refused.code == 2
    assert "model      was refused, see below" in refused.out


def test_a_known_vulnerability_refuses_a_deployment_where_the_request_says_so_and_else_warns(
    tidegate: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("vulnerable")
    ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1000"}]}]
    affected = [{"package": {"name": "onnxruntime", "ecosystem": "PyPI"}, "ranges": ranges}]
    record = {"id": "PYSEC-1", "aliases": ["CVE-2026-1"], "summary": "leaks tokens", "affected": affected}
    (folder / "osv.json").write_text(json.dumps(record))
    write_minutes(folder / "minutes.onnx")
    request = folder / "request.json"

    def asked(**gate: Any) -> str:
        document = {
            "name": "vulnerable",
            "modelArtifact": {"path": "minutes.onnx"},
            "servingRequirements": {},
            "gates": {"vulnerabilities": {"database": "osv.json", **gate}},
        }
        request.write_text(json.dumps(document))
        return str(request)

    refused = tidegate("deploy", "-f", asked(onFound="refuse"), "--output", "json")
    error = refused.document["error"]
    assert (refused.code, error["code"]) == (4, "not_ready")
    assert "leaks tokens; mended in 1000" in error["message"]
    assert "gates.vulnerabilities.ignore" in error["hint"]
    assert "vulnerable" not in [status["name"] for status in tidegate.json("list")["deployments"]]
    planned = tidegate("deploy", "-f", str(request), "--dry-run", "--output", "json")
    assert (planned.code, planned.document["error"]["code"]) == (4, "not_ready")
    warned = tidegate.json("deploy", "-f", asked(), "--dry-run")
    assert [warning for warning in warned["warnings"] if "CVE-2026-1" in warning]
    assert warned["refusals"] == []
    looked_at = asked(onFound="refuse", ignore=["CVE-2026-1"])
    assert tidegate("deploy", "-f", looked_at).code == 0
    assert "vulnerable" in [status["name"] for status in tidegate.json("list")["deployments"]]


def test_a_request_that_demands_a_reason_holds_its_rollout_until_somebody_says_why(
    tidegate: CommandLine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("approved")
    write_minutes(folder / "minutes.onnx")

    def request(version: str, **fields: Any) -> str:
        document = {
            "name": "approved",
            "modelArtifact": {"path": "minutes.onnx", "version": version},
            "servingRequirements": {},
            "infrastructure": {"resources": {"replicas": 1}},
            "analysis": {"baseline": "0s"},
            **fields,
        }
        path = folder / f"{version}.json"
        path.write_text(json.dumps(document))
        return str(path)

    def result_of_approved() -> dict[str, Any]:
        with Client.connect(tidegate.home) as client:
            return dict(client.result("approved"))

    def recorded() -> tuple[Any, ...]:
        with Client.connect(tidegate.home) as client:
            rollout = client.status("approved")["rollout"] or {}
            return rollout["phase"], rollout["phase_since"], list(client.events("approved"))

    gated = {
        "deploymentStrategy": "blue-green",
        "blueGreen": {"preview": "0s", "switch": "person"},
        "gates": {"requireReason": True},
    }
    assert tidegate("deploy", "-f", request("1")).code == 0
    assert result_of_approved()["trafficConfig"]["reasonRequired"] is False
    planned = tidegate("deploy", "-f", request("2", **gated), "--dry-run")
    assert "who promotes or resumes must say why (--reason)" in planned.out
    waits = tidegate("deploy", "-f", request("2", **gated))
    assert waits.code == 7
    assert 'tidegate promote approved --reason "…"   takes revision 2' in waits.out
    assert 'tidegate resume approved --reason "…"' in waits.out
    assert 'take a reason: --reason "…"' in tidegate("status", "approved").out
    assert result_of_approved()["trafficConfig"]["reasonRequired"] is True

    before = recorded()
    for words in (["promote"], ["resume"], ["promote", "--reason", " "]):
        refused = tidegate(words[0], "approved", *words[1:], "--output", "json")
        error = refused.document["error"]
        assert (refused.code, error["code"], error["subject"]) == (2, "reason_required", "approved"), words
        assert '--reason "…"' in refused.err
    with Client.connect(tidegate.home) as client, pytest.raises(ReasonRequired, match="requireReason"):
        client.promote("approved", by="ada")
    assert recorded() == before
    assert tidegate("abort", "approved", "--wait").code == 0

    assert tidegate("deploy", "-f", request("3", **gated)).code == 7
    approved = tidegate("promote", "approved", "--by", "ada", "--reason", "the preview looked right", "--wait")
    assert approved.code == 0, approved.err
    assert "ada asked to promote: the preview looked right" in tidegate("report", "approved").out
    assert tidegate("rollback", "approved", "--wait").code == 0
    assert tidegate("rollback", "approved", "--to", "3", "--wait").code == 0


def test_a_dry_run_needs_no_controller_and_starts_none(tmp_path: Path) -> None:
    command = CommandLine(tmp_path / "home", tmp_path)
    model = write_flights(tmp_path / "fresh.onnx")
    answer = command("deploy", str(model), "--dry-run")
    assert answer.code == 0, answer.err
    assert "does not run yet" in answer.out
    assert not command.home.exists()
    wrong = command("deploy", str(model), "--dry-run", "--cache", "redis", "--output", "json")
    assert (wrong.code, wrong.document["error"]["subject"]) == (2, "cache.store")


def test_down_ends_everything(tidegate: CommandLine) -> None:
    stopped = tidegate.json("down")["stopped"]
    assert any("controller" in what for what in stopped)
    assert launch.running(tidegate.home) is None
    assert tidegate("list").code == 6
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tidegate.home) in " ".join(p.info["cmdline"] or [])]
    assert left == []
