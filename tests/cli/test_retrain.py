"""`tidegate retrain`: what it says where it cannot begin, and how it follows a run of Mage (the loop: tests/mage)."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli import mage_runs
from tidegate.cli.main import app
from tidegate.contract.errors import NotFound, Unavailable

TOKEN = "s3cret"


def invoke(home: Path, *words: str, **variables: str) -> Any:
    environment = {"TIDEGATE_HOME": str(home), "TIDEGATE_MAGE_TRIGGER": "", **variables}
    return CliRunner().invoke(app, ["retrain", "late", *words], env=environment)


def test_a_python_without_the_pipeline_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDEGATE_PIPELINE_PYTHON", raising=False)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if "mage_pipeline" not in one])
    monkeypatch.delitem(sys.modules, "tidegate_pipeline", raising=False)
    done = invoke(tmp_path)
    assert done.exit_code == 6
    assert "the pipeline is not installed in this Python" in done.stderr
    assert "pip install 'tidegate[retraining]'" in done.stderr


def test_mage_needs_a_trigger_and_a_token(tmp_path: Path) -> None:
    assert invoke(tmp_path, "--engine", "mage").exit_code == 2
    trigger = ("--engine", "mage", "--trigger", "http://127.0.0.1:1/", "--token-file", str(tmp_path / "none"))
    done = invoke(tmp_path, *trigger)
    assert (done.exit_code, "cannot be read" in done.stderr) == (2, True)
    (tmp_path / "token").write_text(TOKEN)
    done = invoke(tmp_path, *trigger[:-1], str(tmp_path / "token"))
    assert (done.exit_code, "Mage does not answer" in done.stderr) == (6, True)
    done = invoke(tmp_path, *trigger, "--when-drifted")
    assert (done.exit_code, "drift_watch" in done.stderr) == (2, True)


class MageApi(BaseHTTPRequestHandler):
    """The two answers of Mage 0.9.80 that are used, in the form that tests/mage meets."""

    asked: list[Any]
    states: list[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {TOKEN}":
            self._answer({"error": {"message": "Invalid token for pipeline schedule ID 3."}})
            return
        self.asked.append(body)
        self._answer({"pipeline_run": {"id": 7, "status": "initial"}})

    def do_GET(self) -> None:
        state = self.states.pop(0)
        if state == "login":
            self._answer({"error": {"message": "not logged in"}})
        elif state == "away":
            self.send_error(503)
        else:
            blocks = [{"block_uuid": "evaluate_against_stable", "status": state}]
            self._answer({"pipeline_run": {"id": 7, "status": state, "block_runs": blocks}})

    def _answer(self, document: Any) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def mage() -> Iterator[str]:
    MageApi.asked, MageApi.states = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), MageApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/pipeline_schedules/3/api_trigger"
        server.shutdown()


def test_a_run_is_started_with_its_variables_and_followed_through_an_absence_to_its_end(mage: str) -> None:
    assert mage_runs.start(mage, TOKEN, {"setup": "s.yaml"}) == 7
    assert MageApi.asked == [{"pipeline_run": {"variables": {"setup": "s.yaml"}}}]
    MageApi.states = ["running", "away", "running", "failed"]
    said: list[str] = []
    assert mage_runs.follow(mage, TOKEN, 7, said.append, lambda _seconds: None) == "failed"
    assert said[-1] == "evaluate_against_stable: failed"
    assert any("does not answer" in one for one in said)
    assert MageApi.states == []


def test_a_token_of_another_trigger_and_a_mage_that_asks_for_a_login_are_told_of(mage: str) -> None:
    with pytest.raises(NotFound, match="Invalid token"):
        mage_runs.start(mage, "other", {})
    MageApi.states = ["login"]
    with pytest.raises(Unavailable, match="run 7 was started, and Mage does not tell how it goes"):
        mage_runs.follow(mage, TOKEN, 7, lambda _said: None, lambda _seconds: None)
