"""What stack/docker-compose.yml promises of every service, read without Docker."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

STACK = Path(__file__).resolve().parents[2] / "stack"
EDGES = {"edge", "nginx"}


@cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((STACK / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def services() -> dict[str, dict[str, Any]]:
    """Return those that Compose starts; `replica` is for what the agent starts."""
    found: dict[str, dict[str, Any]] = document()["services"]
    return {name: service for name, service in found.items() if name != "replica"}


each = pytest.mark.parametrize("name", list(services()))


@each
def test_a_service_is_limited_watched_and_started_again(name: str) -> None:
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert set(service["healthcheck"]) >= {"test", "interval", "timeout", "start_period", "retries"}
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}


@each
def test_a_service_may_no_more_than_it_needs(name: str) -> None:
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "ipc", "devices"} & set(service)
    # The agent has the engine's socket and no network, everybody else a network and no socket; the controller has that
    # of the gateway, and its processes.
    assert any("docker.sock" in str(volume) for volume in service.get("volumes", ())) == (name == "agent")
    assert service.get("network_mode") == {"agent": "none", "tidegate": "service:gateway"}.get(name)
    assert service.get("pid") == {"tidegate": "service:gateway"}.get(name)
    assert ("group_add" in service) == (name == "agent")
    if name == "postgres":  # its image gives the data folder to the user postgres, and becomes that
        assert set(service["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
        return
    assert "cap_add" not in service
    uid = service["user"].split(":")[0]
    assert uid.isdecimal()
    assert int(uid) > 0


@each
def test_an_image_is_a_variable_whose_default_is_pinned(name: str) -> None:
    references = [services()[name]["image"]]
    build = services()[name].get("build", {})
    references += [value for key, value in build.get("args", {}).items() if key.endswith("_IMAGE")]
    for reference in references:
        match = re.fullmatch(r"\$\{[A-Z0-9_]+_IMAGE:-([a-z0-9/._-]+):([A-Za-z0-9._-]+)\}", reference)
        assert match is not None, reference
        assert match[2] != "latest"
        assert re.search(r"\d+\.\d+", match[2]), reference


@each
def test_a_dockerfile_has_the_same_default_as_the_compose_file(name: str) -> None:
    build = services()[name].get("build")
    if build is None:
        return
    text = (STACK.parent / build["dockerfile"]).read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^ARG ([A-Z0-9_]+)=(\S+)$", text, re.M))
    # The controller's image is the API image and two packages.
    others = {"EXTRAS": f"{defaults['EXTRAS']},drift-watch", "WITHOUT": ""} if name == "tidegate" else {}
    for key, value in build["args"].items():
        assert re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", value) == {**defaults, **others}[key], key


@each
def test_only_the_edge_is_published_and_only_the_edge_has_a_way_out(name: str) -> None:
    service = services()[name]
    assert ("ports" in service) == (name in EDGES)
    if "network_mode" not in service:
        assert set(service["networks"]) == ({"frontend", "backend"} if name in EDGES else {"backend"})


def test_the_backend_is_internal_and_the_edge_of_people_on_loopback() -> None:
    assert document()["networks"] == {"frontend": None, "backend": {"internal": True}}
    assert all(port.startswith("127.0.0.1:") for port in services()["edge"]["ports"])


@each
def test_a_service_waits_for_what_it_needs_to_be_well(name: str) -> None:
    needed = services()[name].get("depends_on", {})
    assert all(condition["condition"] == "service_healthy" for condition in needed.values())
    # What shares the network and processes of another ends with it.
    shared = service_of(name)
    assert {one for one, condition in needed.items() if condition.get("restart")} == ({shared} if shared else set())
    assert needed or name in {"postgres", "redis", "mage-redis", "alertmanager", "h2o", "agent", "gateway"}


def service_of(name: str) -> str | None:
    """Return the service whose network another shares; None where it has its own."""
    mode = str(services()[name].get("network_mode", ""))
    return mode.partition("service:")[2] or None


@each
def test_a_service_has_no_secret_in_its_environment(name: str) -> None:
    for key, value in services()[name].get("environment", {}).items():
        is_secret = re.search(r"PASSWORD|TOKEN|KEY", key)
        assert not is_secret or value.startswith("/run/secrets/"), key
        assert re.search(r"://[^/@]*:[^/@]*@", str(value)) is None, key


def test_every_secret_is_a_file_that_the_command_makes() -> None:
    script = (STACK / "secrets.sh").read_text(encoding="utf-8")
    used = {secret for service in services().values() for secret in service.get("secrets", ())}
    assert used == set(document()["secrets"])
    for name, secret in document()["secrets"].items():
        assert secret == {"file": f"${{SECRETS_DIR:-./secrets}}/{name}"}
        assert name == "redis_users" or name.removesuffix("_password") in script


def test_the_agents_socket_is_in_reach_of_the_controller_alone() -> None:
    mounts = {name: service.get("volumes", ()) for name, service in services().items()}
    having = {name for name, mounted in mounts.items() if any(str(one).startswith("agent:") for one in mounted)}
    assert having == {"agent", "tidegate"}


def test_compose_starts_no_replica_itself() -> None:
    service = document()["services"]["replica"]
    assert (service["profiles"], service["scale"], service["restart"]) == (["replica"], 0, "no")
    assert service["image"] == services()["agent"]["image"]


def test_the_heap_of_h2o_is_said_nowhere_but_in_the_limit() -> None:
    service = services()["h2o"]
    assert service["mem_limit"] == "${H2O_MEMORY:-2g}"
    assert "environment" not in service
    assert "command" not in service
    entrypoint = (STACK / "docker/h2o-entrypoint.sh").read_text(encoding="utf-8")
    assert "percent=70" in entrypoint
    assert "Xmx" not in "".join((STACK / "docker/Dockerfile.h2o").read_text(encoding="utf-8"))


def test_workers_of_mage_are_as_its_pages_in_all_but_what_they_do() -> None:
    pages, worker = services()["mage"], services()["mage-worker"]
    assert (pages["command"], worker["command"]) == (["web_server"], ["scheduler"])
    own = {"command", "depends_on", "healthcheck", "mem_limit", "cpus", "pids_limit"}
    assert {key: value for key, value in pages.items() if key not in own} == {
        key: value for key, value in worker.items() if key not in own
    }
    # Nothing that there can be but one of.
    assert not {"container_name", "ports", "hostname"} & set(worker)


def mounted(service: str, volume: str) -> tuple[str, bool]:
    """Return where a service has a volume, and whether it may only read it."""
    (found,) = (one for one in services()[service]["volumes"] if isinstance(one, dict) and one["source"] == volume)
    return found["target"], found["read_only"]


def test_models_of_pipelines_are_under_one_path_where_they_are_made_and_where_they_are_registered() -> None:
    assert "pipeline:/var/lib/tidegate/pipeline" in services()["mage"]["volumes"]
    assert mounted("tidegate", "pipeline") == ("/var/lib/tidegate/pipeline", True)


def test_what_serves_is_where_a_retrained_model_is_compared_with_it() -> None:
    assert "bundles:/var/lib/tidegate/bundles" in services()["tidegate"]["volumes"]
    assert mounted("mage-worker", "bundles") == ("/var/lib/tidegate/bundles", True)


def test_files_that_change_are_mounted_as_folders() -> None:
    for service in services().values():
        for volume in service.get("volumes", ()):
            source = str(volume).partition(":/")[0]
            if source.startswith("./"):
                assert (STACK / source).is_dir(), volume
