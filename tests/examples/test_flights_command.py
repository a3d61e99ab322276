"""The demo drives the real command, and the real load generator as a process of its own."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.flights import demo
from examples.flights.command import CommandFailedError, Tidegate
from examples.flights.load import Plan
from examples.flights.traffic import Traffic, write_bodies


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every POST as revision 4 and notes the bodies."""

    protocol_version = "HTTP/1.1"
    enough = threading.Event()
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.send_header("x-tidegate-revision", "4")
        self.end_headers()
        self.wfile.write(b"{}")
        if len(self.bodies) >= 30:
            self.enough.set()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Answering.bodies = []
    Answering.enough.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/predict"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_command_gives_its_document(tmp_path: Path) -> None:
    assert "version" in Tidegate(tmp_path / "home").call("version")


def test_a_command_that_fails_is_told_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="tidegate up") as caught:
        Tidegate(tmp_path / "home").call("status", "arrivals")
    assert caught.value.code == 6


def test_lines_of_a_command_are_handed_on_as_they_come(tmp_path: Path) -> None:
    lines: list[str] = []
    running = Tidegate(tmp_path / "home").start("status", "arrivals", say=lines.append)
    document = running.wait(30, expected=(6,))
    assert document["error"]["code"] == "unavailable"
    assert any("not running" in line for line in lines)
    assert running.ended


def test_traffic_stops_when_told_and_has_a_record_of_every_request(url: str, tmp_path: Path) -> None:
    write_bodies([{"a": 1.5, "b": None}], tmp_path / "bodies")
    plan = Plan(url, rate=100, seconds=60)
    with Traffic(plan, tmp_path / "bodies", tmp_path / "records") as traffic:
        assert Answering.enough.wait(30)
        records = traffic.stop()
        assert not traffic.running
    assert len(records) == len(Answering.bodies) >= 30
    assert set(Answering.bodies) == {b'[{"a":1.5,"b":null}]'}
    assert {(record.revision, record.error) for record in records} == {(4, None)}


def test_traffic_that_is_not_stopped_ends_with_its_block(url: str, tmp_path: Path) -> None:
    write_bodies([{"a": 1}], tmp_path / "bodies")
    with Traffic(Plan(url, rate=100, seconds=60), tmp_path / "bodies", tmp_path / "records") as traffic:
        assert Answering.enough.wait(30)
    assert not traffic.running


def test_a_folder_with_an_earlier_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").mkdir()
    with pytest.raises(SystemExit) as ended:
        demo.main(["--folder", str(tmp_path)])
    assert ended.value.code == 2
    assert "earlier run" in capsys.readouterr().err
