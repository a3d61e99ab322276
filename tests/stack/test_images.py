"""What is in the images, and what is not."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.stack.conftest import BUILD_SECONDS, Stack, docker

MIB = 1 << 20
#: Over its base image: as it lies on disk, and as a registry sends it. docs/how-to/run-the-stack.md says of what.
MOST_API_BYTES = 250_000_000
MOST_SENT_BYTES = 100_000_000
MOST_GATEWAY_BYTES = 130 * MIB
#: Services with an image of ours that has Tidegate in it.
OURS = ("agent", "tidegate", "gateway")


def inspected(image: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", image))
    assert isinstance(found, dict)
    return found


def over_base(stack: Stack, service: str, name: str) -> int:
    """Return how much larger a service's image is on disk than what its Dockerfile builds on."""
    dockerfile = (Path(__file__).resolve().parents[2] / f"stack/docker/Dockerfile.{name}").read_text()
    default = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.M)[0]
    base = base_image(stack.environment.get("PYTHON_IMAGE", default))
    return int(inspected(stack.inspect(service)["Image"])["Size"]) - int(base["Size"])


def base_image(image: str) -> dict[str, Any]:
    """Return an image that others build on. BuildKit reads it without keeping it, so it may have to be pulled."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        docker("pull", "--quiet", image, seconds=BUILD_SECONDS)
    return inspected(image)


def java_in(image: str) -> str:
    """Return the paths of programs, libraries and archives of Java in an image."""
    named = " -o ".join(f"-name '{name}'" for name in ("java", "javac", "*.jar", "libjvm*", "*.jmod"))
    search = f"find / -xdev \\( {named} \\) -print 2>/dev/null || true"
    return docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", search)


def test_no_image_with_tidegate_holds_java(stack: Stack) -> None:
    for service in OURS:
        assert java_in(stack.inspect(service)["Image"]).strip() == "", service
    assert "/opt/h2o/h2o.jar" in java_in(stack.inspect("h2o")["Image"]), "the search finds what is there"


def test_what_scores_has_a_library_of_kernels_and_no_compiler(stack: Stack) -> None:
    search = "find / -xdev -name 'libllvmlite*' -o -name cc1 -o -path '*-packages/numba' 2>/dev/null || true"
    program = "from tidegate.runtime.mojo.kernel_library import used; print(len(used().names))"
    for service in ("agent", "tidegate"):
        assert stack.run(service, "sh", "-c", search) == "", service
        assert int(stack.run(service, "python", "-c", program)) > 50, service
    assert "libllvmlite" in stack.run("mage-worker", "sh", "-c", search), "the search finds what is there"


def test_the_api_image_is_no_larger_than_promised(stack: Stack) -> None:
    over = over_base(stack, "agent", "api")
    assert over <= MOST_API_BYTES, f"{over / 1e6:.0f} MB over its base"
    # All that is large is in one folder; gzip as quick as it gets, and registries have theirs smaller.
    sent = int(stack.run("agent", "sh", "-c", "tar -C /opt -c tidegate | gzip -1 | wc -c"))
    assert sent <= MOST_SENT_BYTES - 10_000_000, f"{sent / 1e6:.0f} MB to pull"


def test_the_gateways_image_is_envoy_and_little_else(stack: Stack) -> None:
    over = over_base(stack, "gateway", "gateway")
    assert over <= MOST_GATEWAY_BYTES, f"{over / MIB:.0f} MiB over its base"


def test_replicas_have_neither_the_gateway_nor_what_watches_for_drift_in_their_image(stack: Stack) -> None:
    find = "import importlib.util as u; print(*[name for name in ('envoy', 'scipy', 'tidegate') if u.find_spec(name)])"
    assert stack.run("agent", "python", "-c", find).split() == ["tidegate"]
    assert stack.run("tidegate", "python", "-c", find).split() == ["envoy", "scipy", "tidegate"]


def test_our_images_run_as_nobody_in_particular_under_tini_and_say_when_they_are_well(stack: Stack) -> None:
    for service in OURS:
        config = inspected(stack.inspect(service)["Image"])["Config"]
        assert config["User"] == "10001:10001", service
        assert config["Entrypoint"][0] == "tini", service
        assert config["Healthcheck"]["Test"][0] == "CMD", service
        assert not any("PASSWORD" in entry for entry in config["Env"]), service


def test_the_heap_of_h2o_is_70_percent_of_the_containers_memory(stack: Stack) -> None:
    limit = stack.inspect("h2o")["HostConfig"]["Memory"]
    command = stack.run("h2o", "cat", "/proc/1/cmdline").split("\0")
    (heap,) = (int(word[4:-1]) for word in command if word.startswith("-Xmx"))
    assert abs(heap - 0.7 * limit / MIB) <= 1
    cloud = stack.cloud()
    assert cloud["cloud_size"] == 1
    # What the JVM itself says that it has; it keeps a part of the heap to move objects through.
    assert 0.9 * heap <= cloud["nodes"][0]["max_mem"] / MIB <= heap + 1


def test_without_a_limit_there_is_no_h2o(stack: Stack) -> None:
    image = stack.inspect("h2o")["Image"]
    done = subprocess.run(["docker", "run", "--rm", image], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "no memory limit" in done.stderr


def test_another_limit_is_another_heap(stack: Stack) -> None:
    image = stack.inspect("h2o")["Image"]
    said = docker("run", "--rm", "--memory", "1000m", image, "-version")
    assert "memory limit 1000 MiB, heap 700 MiB (70 %)" in said
    assert "-Xmx700m" in said


def test_a_base_image_may_be_pinned_by_its_digest(stack: Stack) -> None:
    """Images that are run as they are, and those that ours are built on."""
    digest = f"sha256:{'ab' * 32}"
    pinned = {name: f"example.org/{name.lower()}:1@{digest}" for name in ("NGINX_IMAGE", "PYTHON_IMAGE", "JAVA_IMAGE")}
    other = replace(stack, environment={**stack.environment, **pinned})
    services = json.loads(other.compose("config", "--format", "json"))["services"]
    assert services["nginx"]["image"] == services["edge"]["image"] == pinned["NGINX_IMAGE"]
    for service in OURS:
        assert services[service]["build"]["args"]["PYTHON_IMAGE"] == pinned["PYTHON_IMAGE"], service
    assert services["h2o"]["build"]["args"]["JAVA_IMAGE"] == pinned["JAVA_IMAGE"]
