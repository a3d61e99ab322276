"""Each check says ok, warn or fail, and what to type."""

from __future__ import annotations

import json
import resource
import socket
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tidegate.cli import doctor
from tidegate.cli.main import app
from tidegate.contract.findings import Finding, Level
from tidegate.runtime.mojo import kernel_library

GIB = 1024**3


@pytest.fixture
def taken_port() -> int:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with listener:
        yield listener.getsockname()[1]


def test_a_machine_on_which_nothing_runs_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ports.json").write_text('{"port": 0, "gateway_port": 0}')
    result = CliRunner().invoke(app, ["doctor", "--output", "json"], env={"TIDEGATE_HOME": str(tmp_path)})
    told = json.loads(result.stdout)
    failed = [check for check in told["checks"] if check["level"] == "fail"]
    assert (failed, told["healthy"], result.exit_code) == ([], True, 0)
    assert {"python", "envoy", "home", "disk", "controller", "runtime sklearn", "descriptors", "clock"} <= {
        check["check"] for check in told["checks"]
    }


def test_a_taken_port_fails_and_names_the_option(tmp_path: Path, taken_port: int) -> None:
    environment = {"TIDEGATE_HOME": str(tmp_path), "TIDEGATE_PORT": str(taken_port)}
    result = CliRunner().invoke(app, ["doctor"], env=environment)
    assert result.exit_code == 1
    assert f"tidegate up --port {taken_port + 1000}" in result.stdout


def test_a_controller_that_died_fails_and_says_how_to_start_it(tmp_path: Path, taken_port: int) -> None:
    (tmp_path / "controller.json").write_text(json.dumps({"url": "http://127.0.0.1:9"}))
    (tmp_path / "token").write_text("secret")
    (tmp_path / "token").chmod(0o600)
    result = CliRunner().invoke(app, ["doctor", "--output", "json"], env={"TIDEGATE_HOME": str(tmp_path)})
    told = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.exit_code == 1
    assert told["controller"]["level"] == "fail"
    assert told["controller"]["fix"].startswith("tidegate up")
    assert told["token"]["level"] == "pass"


def test_a_token_that_others_may_read_fails(tmp_path: Path) -> None:
    finding = doctor.check_token_mode(tmp_path / "token", 0o100644)
    assert (finding.level, finding.fix) == (Level.FAIL, f"chmod 600 {tmp_path / 'token'}")


@pytest.mark.parametrize(("free", "level"), [(50 * GIB, Level.PASS), (GIB, Level.WARN), (GIB // 10, Level.FAIL)])
def test_a_full_disk_is_said_early(free: int, level: Level, tmp_path: Path) -> None:
    assert doctor.judge_disk(free, tmp_path).level is level


@pytest.mark.parametrize(
    ("version", "level"), [((3, 11, 0), Level.PASS), ((3, 14, 1), Level.PASS), ((3, 10, 9), Level.FAIL)]
)
def test_an_old_python_fails(version: tuple[int, ...], level: Level) -> None:
    assert doctor.check_python(version).level is level


def test_a_runtime_that_is_not_installed_is_a_warning_with_the_extra_to_install() -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    finding = doctor.check_runtime("onnx", ("onnxruntime",), nothing)
    assert finding.level is Level.WARN
    assert finding.fix is not None
    assert "tidegate[onnx]" in finding.fix


def test_either_distribution_of_a_framework_will_do() -> None:
    def only_full(name: str) -> str:
        if name == "xgboost-cpu":
            raise metadata.PackageNotFoundError(name)
        return "3.0"

    finding = doctor.check_runtime("xgboost", ("xgboost-cpu|xgboost",), only_full)
    assert (finding.level, finding.reason) == (Level.PASS, "xgboost 3.0")


def test_what_scores_mojo_files_is_numba_or_the_library_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(kernel_library.VARIABLE, raising=False)
    plain = doctor.check_mojo()
    assert (plain.level, plain.reason.partition(" ")[0]) == (Level.PASS, "numba")
    monkeypatch.setenv(kernel_library.VARIABLE, str(tmp_path))
    kernel_library.used.cache_clear()
    try:
        without = doctor.check_mojo()
    finally:
        kernel_library.used.cache_clear()
    assert (without.level, f"{tmp_path} has no library" in without.reason) == (Level.WARN, True)
    assert without.fix is not None
    assert f"tidegate mojo compile --library {tmp_path}" in without.fix


def test_few_descriptors_are_a_warning() -> None:
    assert doctor.check_descriptors(1024, 4096).level is Level.WARN
    assert doctor.check_descriptors(resource.RLIM_INFINITY, resource.RLIM_INFINITY).level is Level.PASS


def test_a_clock_that_was_set_back_is_a_warning() -> None:
    assert doctor.check_clock(1000.0, 1300.0).level is Level.WARN
    assert doctor.check_clock(1300.0, 1000.0).level is Level.PASS


def test_a_store_that_the_controller_cannot_maintain_is_a_warning_with_the_reason() -> None:
    well = doctor.check_store({"store": "s.db", "standbys": [], "store_trouble": None})
    assert (well.level, well.reason) == (Level.PASS, "s.db; no other controller stands by")
    found = doctor.check_store({"store": "s.db", "standbys": [7], "store_trouble": "no room"})
    assert (found.level, found.fix) == (Level.WARN, "tidegate db maintain")
    assert found.reason == "s.db could not be maintained: no room; stand by: pid 7"


def test_findings_are_lines_with_the_remedy_below() -> None:
    lines = doctor.findings_lines([Finding("disk", Level.FAIL, "0.1 GiB free", "du -sh /h/*")])
    assert [line.plain for line in lines] == [
        "fail disk  0.1 GiB free",
        "           du -sh /h/*",
        "1 of 1 checks failed",
    ]
