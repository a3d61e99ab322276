"""The whole stack is up and well, as its file says it should be."""

from __future__ import annotations

import json

import httpx

from tests.stack.conftest import Stack, docker, eventually


def test_every_service_is_well(stack: Stack) -> None:
    for service in stack.services:
        state = stack.inspect(service)["State"]
        assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy"), service


def test_nothing_runs_as_root_can_write_to_its_root_or_has_a_privilege(stack: Stack) -> None:
    for service in stack.services:
        found = stack.inspect(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["LogConfig"]["Config"]["max-size"] == "10m", service
        lines = docker("top", found["Id"], "-eo", "pid,uid,args").splitlines()[1:]
        roots = [line for line in lines if line.split()[1] == "0"]
        assert not roots, f"{service}: {roots}"


def test_the_root_of_the_server_of_models_is_read_only_indeed(stack: Stack) -> None:
    done = stack.try_compose("exec", "-T", "tidegate", "touch", "/opt/tidegate/mark")
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr


def test_prometheus_scrapes_the_controller_and_has_the_rules_of_a_new_deployment(stack: Stack, arrivals: str) -> None:
    def ask(path: str) -> dict[str, object]:
        answer = httpx.get(f"http://127.0.0.1:{stack.environment['PROMETHEUS_PORT']}{path}", trust_env=False)
        found: dict[str, object] = answer.raise_for_status().json()
        return found

    def groups() -> set[str]:
        return {group["name"] for group in ask("/api/v1/rules")["data"]["groups"]}  # type: ignore[index]

    eventually("rules of the deployment", lambda: any(arrivals in name for name in groups()))
    assert "stack" in groups()

    def up() -> bool:
        found = ask("/api/v1/query?query=up")["data"]["result"]  # type: ignore[index]
        return {one["metric"]["job"]: one["value"][1] for one in found} == {"tidegate": "1", "prometheus": "1"}

    eventually("both targets up", up)


def test_an_alert_of_a_rule_reaches_alertmanager_and_whoever_looks_through_the_edge(stack: Stack) -> None:
    rule = {"alert": "Tried", "expr": "vector(1)", "labels": {"severity": "info"}}
    text = json.dumps({"groups": [{"name": "tried", "rules": [rule]}]})
    file = "/var/lib/tidegate/monitoring/tried.rules.yml"
    stack.run("tidegate", "sh", "-c", f"cat > {file}", given=text)
    try:
        url = f"http://127.0.0.1:{stack.environment['ALERTMANAGER_PORT']}/api/v2/alerts"

        def reached() -> bool:
            return "Tried" in {one["labels"]["alertname"] for one in httpx.get(url, trust_env=False).json()}

        eventually("the alert in Alertmanager", reached)
    finally:
        stack.run("tidegate", "rm", file)


def test_redis_lets_nobody_in_without_the_password(stack: Stack) -> None:
    assert "NOAUTH" in stack.run("redis", "redis-cli", "get", "anything")


def test_doctor_finds_nothing_wrong(stack: Stack, arrivals: str) -> None:
    found = json.loads(stack.run("tidegate", "tidegate", "doctor", "--output", "json"))
    assert found["healthy"] is True, found
