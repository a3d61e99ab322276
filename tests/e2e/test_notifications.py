"""A deployment tells what happens to it, also when its controller is killed while it tells; and no secret leaks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Tidegate, belonging_to, eventually
from tests.e2e.test_kills import kill
from tests.support.receiver import receiving
from tidegate.cli.main import app
from tidegate.controller import launch

pytestmark = pytest.mark.e2e

KEY = "k3y-that-nobody-may-read"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Tidegate]:
    place = Tidegate(tmp_path / "home", tmp_path)
    launch.ensure_running(place.home, 0, 0)
    try:
        yield place
    finally:
        launch.stop(place.home)
    eventually("no process left behind", lambda: not belonging_to(place.home), 15)


def test_what_was_under_way_when_the_controller_was_killed_comes_again_with_the_same_id(
    place: Tidegate, good_model: Path
) -> None:
    with receiving([None, 204]) as receiver:
        file = place.folder / "told.url"
        file.write_text(receiver.url.replace("http://", f"http://tidegate:{KEY}@"))
        file.chmod(0o600)
        told = [{"name": "oncall", "urlFromFile": str(file), "timeout": "1m", "when": ["started", "promoted"]}]
        rollout = place.deploy("arrivals", good_model, notifications=told)
        eventually("an attempt under way", lambda: receiver.got)
        kill(place.controller())
        place.start()
        assert place.ended(rollout)["outcome"] == "promoted"
        eventually("both told", lambda: "promoted" in receiver.moments())
        first = receiver.ids()[0]
        assert receiver.moments()[:2] == ["started", "started"]
        assert receiver.ids()[:2] == [first, first]
        assert first not in receiver.ids()[2:]
        assert receiver.got[0].headers["authorization"].startswith("Basic ")

        def settled() -> bool:
            with place.client as client:
                found = client.notifications("arrivals")
            return [one["state"] for one in found] == ["delivered", "delivered"]

        eventually("the record", settled)
        with place.client as client:
            assert client.notifications("arrivals")[0]["id"] == first
            (test,) = client.test_notifications("arrivals", by="ada")
        assert (test["delivered"], test["status"]) == (True, 204)
        assert receiver.moments()[-1] == "test"
        with place.client as client:
            shown = json.dumps(
                [client.history("arrivals"), client.result("arrivals"), client.notifications("arrivals")]
            )
        assert KEY not in shown
        commands = [" ".join(psutil.Process(one.pid).cmdline()) for one in belonging_to(place.home)]
        assert KEY not in " ".join(commands)
        files = [Path(folder) / name for folder, _, names in os.walk(place.home) for name in names]
        assert [path for path in files if path.is_file() and KEY.encode() in path.read_bytes()] == []
        html = place.home / "reports" / "arrivals" / f"{rollout}.html"
        assert "promoted" in html.read_text()


def test_the_commands_show_deliveries_and_send_a_test(
    place: Tidegate, good_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        try:
            app(["--home", str(place.home), *words], standalone_mode=True, prog_name="tidegate")
        except SystemExit as end:
            return int(end.code or 0), capsys.readouterr().out
        raise AssertionError("a command ends with its code")

    with receiving([204, 204, 500]) as receiver:
        told = [{"name": "oncall", "url": receiver.url, "when": ["started", "promoted"]}]
        place.ended(place.deploy("arrivals", good_model, notifications=told))
        eventually("both told", lambda: len(receiver.got) == 2)
        eventually("the record", lambda: run("notifications", "arrivals")[1].count("delivered") == 2)
        code, page = run("report", "arrivals", "--format", "html")
        assert code == 0
        assert page.startswith("<!doctype html>")
        code, table = run("notifications", "arrivals", "--test")
        assert (code, "answered 500" in table) == (6, True)


def test_a_controller_that_is_killed_while_a_hook_holds_the_rollout_asks_again_and_goes_on(
    place: Tidegate, good_model: Path, better_model: Path
) -> None:
    place.ended(place.deploy("arrivals", good_model))
    with receiving([403]) as receiver:
        hooks = [
            {"name": "board", "type": "confirm-rollout", "url": receiver.url, "interval": "200ms"},
            {"name": "undo", "type": "rollback", "url": receiver.url, "interval": "200ms"},
        ]
        rollout = place.deploy("arrivals", better_model, hooks=hooks)
        why = "the hook board has not confirmed: answered 403"
        eventually("it waits", lambda: place.status("arrivals")["rollout"]["waiting_for"] == why)
        assert place.pids("arrivals", 2) == set()
        kill(place.controller())
        asked = len(receiver.got)
        place.start()
        eventually("it is asked again", lambda: len(receiver.got) > asked)
        assert place.pids("arrivals", 2) == set()
        receiver.answers[:] = [200]
        report = place.ended(rollout)
        assert {one.body["type"] for one in receiver.got} == {"confirm-rollout", "rollback"}
    assert (report["outcome"], report["reason"]) == ("rolled_back", "the hook undo asked to take the candidate back")
    assert place.status("arrivals")["split_asked"] == {"1": 100}
