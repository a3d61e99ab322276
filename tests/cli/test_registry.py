"""The model registry from the keyboard: registered, compared, deployed by an alias that moves with what serves."""

from __future__ import annotations

import json
import pickle
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.quick_models import write_flights
from tidegate.cli.main import app
from tidegate.client import Client
from tidegate.contract.errors import NotFound
from tidegate.controller import launch

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 60.0
#: A rollout that goes on for longer than any test, at its first step.
LONG = ["--step-duration", "10m", "--baseline", "0s", "--replicas", "1"]


@dataclass
class Answer:
    code: int
    out: str
    err: str


@dataclass
class Registry:
    """The command line for one home, and two models in a folder."""

    home: Path
    folder: Path

    def __call__(self, *args: str, code: int = 0) -> Answer:
        result = CliRunner().invoke(app, list(args), env={"TIDEGATE_HOME": str(self.home), "COLUMNS": "160"})
        assert result.exit_code == code, result.output
        return Answer(result.exit_code, result.stdout, result.stderr)

    def json(self, *args: str, code: int = 0) -> Any:
        return json.loads(self(*args, "--output", "json", code=code).out)

    def champion(self) -> int | None:
        with Client.connect(self.home) as client:
            try:
                return client.registry.version("models:/churn@champion")["version"]
            except NotFound:
                return None

    def wait_for(self, what: str, condition: Callable[[Client], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with Client.connect(self.home) as client:
            while time.monotonic() < deadline:
                if found := condition(client):
                    return found
                time.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")

    def in_phase(self, phase: str) -> None:
        self.wait_for(phase, lambda client: client.status("churn")["phase"] == phase)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    command = Registry(folder / "home", folder)
    write_flights(folder / "churn-1.onnx")
    write_flights(folder / "churn-2.onnx", from_hour=15.0)
    try:
        command("up", "--port", "0", "--gateway-port", "0")
        (folder / "rows.csv").write_text("a,b\n1,2\n")
        told = ["--metric", "auc=0.9", "--data", str(folder / "rows.csv"), "--code", "1a2b", "--about", "who leaves"]
        command("registry", "add", "churn", str(folder / "churn-1.onnx"), *told, "--by", "ada")
        more = ["--metric", "auc=0.92", "--parent", "churn/1", "--alias", "challenger", "--by", "ada"]
        command("registry", "add", "churn", str(folder / "churn-2.onnx"), *more)
        yield command
    finally:
        launch.stop(command.home)


def test_what_was_registered_is_listed_shown_and_compared(registry: Registry) -> None:
    assert "challenger → 2" in registry("registry", "list").out
    shown = registry("registry", "show", "churn").out
    assert "who leaves" in shown
    assert "auc 0.92" in shown
    version = registry("registry", "show", "churn/1").out
    for told in ("models:/churn/1", "rows.csv (sha256 ", "1a2b", "input", "onnx", "python 3"):
        assert told in version, version
    compared = registry("registry", "compare", "churn/1", "churn@challenger").out
    assert "+0.02" in compared
    assert re.search(r"≠ +metric auc ", compared)
    assert "Clients can go on with models:/churn/2." in compared
    assert registry.json("registry", "show", "churn@challenger")["lineage"]["parent"] == "models:/churn/1"
    again = registry(
        *("registry", "add", "churn", str(registry.folder / "churn-2.onnx"), "--metric", "auc=0.92"),
        *("--parent", "churn/1"),
    )
    assert "models:/churn/2 is exactly this" in again.out


def test_what_cannot_be_is_refused_with_the_documented_codes(registry: Registry) -> None:
    model = str(registry.folder / "churn-1.onnx")
    nan = registry("registry", "add", "churn", model, "--metric", "auc=nan", code=2)
    assert "metrics.auc: expected a finite number, got NaN" in nan.err
    assert "such as auc=0.91" in registry("registry", "add", "churn", model, "--metric", "auc", code=2).err
    for alias, why in (("latest", 'which is neither "latest"'), ("3", "a name that is no whole number")):
        told = ("registry", "add", "churn", model, "--metric", "auc=0.5", "--alias", "sound", "--alias", alias)
        assert why in registry(*told, code=2).err
    found = registry.json("registry", "show", "churn")
    assert (found["latest"], found["aliases"]) == (2, {"challenger": 2}), "nothing was registered"
    assert "no whole number" in registry("deploy", "models:/churn/1", "--alias", "7", code=2).err
    assert "Nothing to register" in registry("registry", "add", "churn", code=2).err
    registry("registry", "add", "churn", model + "x", code=2)
    pickled = registry.folder / "own.pkl"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    assert "give the same command with --trust" in registry("registry", "add", "churn", str(pickled), code=2).err
    registry("registry", "show", "nobody", code=5)
    registry("registry", "show", "churn/9", code=5)
    registry("registry", "alias", "churn", "champion", code=2)
    registry("registry", "alias", "churn", "champion", "9", code=5)
    registry("registry", "stage", "churn/1", "prod", code=2)
    assert "named by challenger" in registry("registry", "archive", "churn/2", code=4).err
    assert registry.json("deploy", "models:/nobody@champion", code=5)["error"]["code"] == "not_found"
    dry = registry("deploy", "models:/churn@nobody", "--dry-run", code=5)
    assert "has no alias 'nobody'" in dry.out


def test_the_alias_moves_with_the_promotion_and_back_with_the_return(registry: Registry) -> None:
    registry("deploy", "models:/churn/1", "--alias", "champion", "--replicas", "1")
    assert registry.champion() == 1
    assert registry.json("history", "churn")["revisions"][0]["artifact"] == "models:/churn/1"
    same = registry("deploy", "models:/churn@champion", "--alias", "champion", "--replicas", "1")
    assert "nothing to do" in same.out

    registry("deploy", "models:/churn@challenger", "--alias", "champion", *LONG, "--no-wait")
    assert registry.champion() == 1, "not before the promotion"
    for number in ("1", "2"):
        assert "is deployed: churn" in registry("registry", "archive", f"churn/{number}", code=4).err
    registry.in_phase("analyzing")
    registry("promote", "churn", "--wait", "--by", "grace")
    assert registry.champion() == 2
    registry("registry", "alias", "churn", "challenger", "--remove", "--reason", "promoted")

    registry("rollback", "churn", "--to", "1", "--wait", "--by", "bob", "--reason", "slow")
    assert registry.champion() == 1
    moves = [move for move in registry.json("registry", "show", "churn")["alias_moves"] if move["alias"] == "champion"]
    assert [(move["before"], move["version"]) for move in moves] == [(None, 1), (1, 2), (2, 1)]
    assert [move["by"] for move in moves[1:]] == ["grace", "bob"]
    assert moves[2]["reason"].endswith("bob asked to return to revision 1: slow")
    with Client.connect(registry.home) as client:
        kinds = [event["kind"] for event in client.events("churn") if event["kind"] in ("alias_moved", "promoted")]
    assert kinds == ["alias_moved", "promoted"] * 3
    assert "champion" in registry("registry", "show", "churn").out


def test_an_alias_that_was_moved_ahead_goes_back_with_its_candidate(registry: Registry) -> None:
    registry.in_phase("serving")
    moved = registry("registry", "alias", "churn", "champion", "2", "--expect", "1")
    assert "follows the deployment churn, in which version 1 is stable" in moved.err
    registry("registry", "alias", "churn", "champion", "1", "--expect", "1", code=4)
    registry("deploy", "models:/churn@champion", "--alias", "champion", *LONG, "--no-wait")
    registry("abort", "churn", "--wait", "--by", "ada", "--reason", "wrong file")
    assert registry.champion() == 1
    last = registry.json("registry", "show", "churn")["alias_moves"][-1]
    assert (last["version"], last["by"]) == (1, "ada")
    assert last["reason"].endswith("took its candidate back: ada asked to abort: wrong file")


def test_who_takes_an_alias_away_that_follows_a_deployment_is_told(registry: Registry) -> None:
    gone = registry("registry", "alias", "churn", "champion", "--remove")
    assert "warning: the alias champion follows the deployment churn, in which version 1 is stable" in gone.err
    assert "tidegate registry alias churn champion 1" in gone.err
    again = registry("registry", "alias", "churn", "champion", "1")
    assert "warning" not in again.err
    registry("registry", "alias", "churn", "passing", "1")
    assert "warning" not in registry("registry", "alias", "churn", "passing", "--remove").err


def test_an_archived_version_is_not_deployed(registry: Registry) -> None:
    registry("registry", "archive", "churn/2", "--reason", "leaks")
    refused = registry("deploy", "models:/churn/2", "--name", "other", code=4)
    assert "is archived" in refused.err
    assert "tidegate registry stage 'churn/2' none" in refused.err
    registry("registry", "stage", "churn/2", "none")


def test_a_folder_is_imported_once_and_what_is_refused_stops_no_other(registry: Registry) -> None:
    place = registry.folder / "imported" / "leavers"
    (place / "1").mkdir(parents=True)
    (place / "1" / "model.onnx").write_bytes((registry.folder / "churn-1.onnx").read_bytes())
    (place / "1.version.json").write_text('{"metrics": {"auc": 0.7, "loss": NaN}, "aliases": ["champion", "latest"]}')
    (place / "2.onnx").write_bytes(b"no model")
    (place / "10.onnx").write_bytes((registry.folder / "churn-2.onnx").read_bytes())
    first = registry("registry", "import", str(registry.folder / "imported"), code=2)
    assert "leavers 1: registered as models:/leavers/1" in first.out
    assert "loss is nan there, and is left out" in first.out
    assert "the alias 'latest' was not taken over" in first.out
    assert "leavers 2: refused" in first.out
    assert "leavers 10: registered as models:/leavers/2" in first.out
    assert "2 new, 0 there before, 1 refused." in first.out
    second = registry.json("registry", "import", str(registry.folder / "imported"), code=2)
    assert [(one["version"], one["created"]) for one in second["versions"]] == [(1, False), (None, False), (2, False)]
    assert registry.json("registry", "show", "leavers@champion")["metrics"] == {"auc": 0.7}
    registry("registry", "import", str(registry.folder / "nowhere"), code=2)


def test_a_document_says_the_same_as_the_options(registry: Registry) -> None:
    document = registry.folder / "request.yaml"
    document.write_text(
        "name: eu\nmodelArtifact: {path: 'models:/churn@champion'}\nservingRequirements: {}\n"
        "registry: {alias: champion}\n"
    )
    refused = registry("deploy", "-f", str(document), code=4)
    assert "follows the deployment 'churn' already" in refused.err
    assert "--alias champion-eu" in refused.err
    preview = registry.json("deploy", "-f", str(document), "--alias", "champion-eu", "--dry-run")
    assert (preview["action"], preview["refusals"]) == ("first", [])
    assert registry.champion() == 1
