"""Checks of running replicas in a request document."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

from tidegate.contract.errors import InvalidInput
from tidegate.contract.request import DeploymentRequest, parse_request


def request_with(**checks: Any) -> DeploymentRequest:
    return parse_request({"modelArtifact": {"path": "m.onnx"}, "servingRequirements": {}, "healthChecks": checks})


def refused(**checks: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        request_with(**checks)
    return str(caught.value)


SMOKE = {"name": "smoke", "http": {"path": "/"}}


def test_timing_has_the_defaults_of_kubernetes() -> None:
    [check] = request_with(custom=[SMOKE]).health_checks.custom
    assert (check.initial_delay.seconds, check.period.seconds, check.timeout.seconds) == (0, 10, 1)
    assert (check.success_threshold, check.failure_threshold) == (1, 3)
    assert (check.affects, check.critical) == ("readiness", False)


def test_the_three_may_leave_out_what_they_ask_and_a_custom_one_may_not() -> None:
    assert request_with(liveness={"period": "5s"}).health_checks.liveness is not None
    assert "one of http, command, python and golden" in refused(custom=[{"name": "smoke"}])


def test_a_check_asks_one_thing() -> None:
    told = refused(readiness={"http": {"path": "/"}, "command": ["true"]})
    assert told.startswith("healthChecks.readiness: expected one of http, command, python and golden")


@pytest.mark.parametrize("check", [{"liveness": {"successThreshold": 2}}, {"startup": {"successThreshold": 2}}])
def test_liveness_and_startup_need_one_success(check: dict[str, Any]) -> None:
    assert "a successThreshold of 1" in refused(**check)
    assert "a successThreshold of 1" in refused(custom=[{**SMOKE, "affects": "liveness", "successThreshold": 2}])
    assert request_with(readiness={"successThreshold": 2}).health_checks.readiness is not None


@pytest.mark.parametrize("names", [["a", "a"], ["liveness"]])
def test_each_name_is_there_once(names: list[str]) -> None:
    told = refused(custom=[{**SMOKE, "name": name} for name in names])
    assert told.startswith("healthChecks.custom: expected each name once, and none of liveness, readiness, startup")


@pytest.mark.parametrize(
    ("check", "told"),
    [
        ({"http": {"path": "health"}}, "a path that begins with /"),
        ({"python": "checks.well"}, "module:function"),
        ({"python": "os:system('x')"}, "module:function"),
        ({"command": []}, "1 or more items"),
        ({"http": {"path": "/"}, "folder": "/x"}, "no folder"),
        ({"http": {"path": "/", "headers": {"x": "a\r\nb: c"}}}, "text on one line"),
        ({"http": {"path": "/"}, "period": "10ms"}, "100ms"),
        ({"http": {"path": "/"}, "failureThreshold": 0}, "1 or more"),
    ],
)
def test_what_is_wrong_is_named(check: dict[str, Any], told: str) -> None:
    assert told in refused(custom=[{"name": "smoke", **check}])


def test_files_and_folders_count_from_the_folder_of_the_document() -> None:
    asked = request_with(
        startup={"command": ["./up.sh"]},
        custom=[
            {"name": "a", "python": "checks:a", "folder": "sub"},
            {"name": "b", "golden": "golden.yaml"},
            {"name": "c", "http": {"path": "/"}},
        ],
    )
    checks = asked.anchored(PurePosixPath("/srv")).health_checks.every()
    assert [checks[name].folder for name in ("startup", "a", "b", "c")] == ["/srv", "/srv/sub", None, None]
    assert checks["b"].golden == "/srv/golden.yaml"
    again = asked.anchored(PurePosixPath("/srv")).anchored(PurePosixPath("/other")).health_checks.every()
    assert again == checks
