"""A controller that starts again finds what runs: nothing is started twice, nothing is lost, nothing flaps."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.traffic import Load, send_many, until
from tests.target.conftest import ROOT, Place, Run, spec_of, tiny_command
from tidegate.gateway.base import DEFAULT_ENVOYS, Endpoint, RevisionRef, Snapshot
from tidegate.gateway.envoy import EnvoyGateway
from tidegate.gateway.os_process import OsProcess
from tidegate.target import process
from tidegate.target.base import RevisionSpec
from tidegate.target.local import LocalTarget
from tidegate.target.slots import Slot

#: One worker runs them all: they share one Envoy.


def controller(home: Path, deployment: str, *options: str) -> subprocess.Popen[str]:
    """Start a controller that has just started a replica, and return once it has."""
    words = [sys.executable, "-m", "tests.target.controller_stand_in", str(home), deployment, *options]
    started = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ensured\n"
    return started


def kill(started: subprocess.Popen[str]) -> None:
    started.kill()
    started.communicate()


async def ready(target: LocalTarget, spec: RevisionSpec, count: int = 1) -> Any:
    return await until(lambda: target.ensure_replicas(spec, count), lambda health: health.ready == count, seconds=15)


@pytest.mark.parametrize("delay", ["0", "0.7"])
def test_a_controller_killed_while_a_replica_starts_leaves_one_copy_that_is_adopted(
    run: Run[Any], place: Place, delay: str
) -> None:
    spec = spec_of(f"starting-{delay.replace('.', '-')}")
    first = controller(place.home, spec.ref.deployment, "--start-delay", delay)
    copies = place.processes(spec.ref)
    kill(first)
    target = place.open("--start-delay", delay)
    health = run(ready(target, spec))
    assert place.processes(spec.ref) == copies
    assert len(copies) == 1
    assert (health.replicas[0].pid, health.restarts) == (copies[0], 0)


def test_a_controller_killed_before_it_noted_the_start_leaves_one_copy_that_is_adopted(
    run: Run[Any], place: Place
) -> None:
    """The worst moment: the process exists, and neither it nor the controller has written anything."""
    spec = spec_of("unnoted")
    child = process.spawn(Slot(place.home, spec.ref, 0), spec, tiny_command("--start-delay", "0.5"))
    assert child is not None
    target = place.open()
    health = run(ready(target, spec))
    assert place.processes(spec.ref) == [child.pid]
    assert (health.replicas[0].pid, health.restarts) == (child.pid, 0)
    child.kill()
    child.wait()


def test_traffic_goes_on_at_the_same_split_while_no_controller_runs_and_after(run: Run[Any], place: Place) -> None:
    stable, candidate = spec_of("going-on", 1), spec_of("going-on", 2)
    first = place.open()

    async def before() -> None:
        await ready(first, stable, 2)
        await ready(first, candidate)
        await first.set_split("going-on", {1: 70, 2: 30}, 5.0)

    run(before())
    files = gateway_files(place.home)
    place.close()
    second = place.open()

    async def after() -> None:
        async with Load(f"{second.url('going-on')}/x", clients=2) as load:
            for _ in range(5):
                health = await second.ensure_replicas(stable, 2)
                await second.ensure_replicas(candidate, 1)
                await load.more(40)
            assert health.restarts == 0
            assert not (await second.set_split("going-on", {1: 70, 2: 30}, 5.0)).changed
        assert load.answers.failed == 0
        assert load.answers.names["2/0"] > 0

    run(after())
    assert gateway_files(place.home) == files


def gateway_files(home: Path) -> dict[str, int]:
    """Return the inode of each of Envoy's files: a file that is written again has another."""
    folder = home / "gateway"
    names = [folder / "routes.json", folder / "clusters.json", *(folder / "endpoints").iterdir()]
    return {path.name: path.stat().st_ino for path in names}


def test_a_replica_that_died_without_a_controller_is_replaced_and_said_to_be_gone(run: Run[Any], place: Place) -> None:
    spec = spec_of("orphan")
    first = controller(place.home, spec.ref.deployment)
    target = place.open()
    before = run(ready(target, spec))
    kill(first)
    os.kill(before.replicas[0].pid, signal.SIGKILL)
    run(until(lambda: target.ensure_replicas(spec, 1), lambda health: health.restarts == 1))
    after = run(ready(target, spec))
    assert after.replicas[0].last_exit == "gone"
    assert after.replicas[0].pid != before.replicas[0].pid
    # Kept in the replica's folder, so that the next controller knows it, too.
    assert run(place.open().ensure_replicas(spec, 1)).restarts == 1


def test_a_port_of_a_dead_replica_gets_no_requests_after_a_restart(run: Run[Any], tmp_path: Path) -> None:
    """After a reboot another program may listen where a replica did."""
    ref = RevisionRef("rebooted", 1)
    gateway = EnvoyGateway(tmp_path / "gateway", port=0)
    target = LocalTarget(tmp_path, gateway, command=tiny_command())
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        gateway.remember(
            Snapshot(
                endpoints={ref: (Endpoint("127.0.0.1", stranger.getsockname()[1]),)},
                splits={"rebooted": {1: 100}},
                timeout_seconds={"rebooted": 0.5},
            )
        )
        run(target.start())
        assert gateway.snapshot().endpoints == {ref: ()}
        assert run(send_many(f"{target.url('rebooted')}/x", 3)).statuses == {503: 3}
        run(target.stop())


def test_a_start_takes_out_what_has_died_since(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("died")

    async def story() -> None:
        health = await ready(target, spec)
        killed = OsProcess.of(health.replicas[0].pid)
        assert killed is not None
        killed.send(signal.SIGKILL)
        assert await killed.wait_gone(5)
        await target.start()
        gateway = EnvoyGateway(place.home / "gateway", port=0)
        await gateway.ensure_running()
        assert (await gateway.healthy())[spec.ref] == frozenset()
        await gateway.close()

    run(story())


def test_a_start_forgets_a_revision_whose_removal_was_cut_off(run: Run[Any], place: Place) -> None:
    target, spec = place.open(), spec_of("kept")

    async def story() -> None:
        await ready(target, spec)
        gateway = EnvoyGateway(place.home / "gateway", port=0)
        ghost, routed = RevisionRef("kept", 7), RevisionRef("kept", 8)
        before = gateway.snapshot()
        there = {**before.endpoints, ghost: (), routed: ()}
        gateway.remember(replace(before, endpoints=there, splits={**before.splits, "kept": {8: 100}}))
        await target.start()
        assert set(gateway.snapshot().endpoints) == {*before.endpoints, routed}
        await gateway.close()

    run(story())


def test_stop_ends_what_an_earlier_controller_left_and_keeps_the_logs(run: Run[Any], tmp_path: Path) -> None:
    spec = spec_of("left")
    first = controller(tmp_path, "left", "--start-delay", "0.3")
    kill(first)
    place = Place(tmp_path, run)
    assert len(place.processes(spec.ref)) == 1
    gateway = EnvoyGateway(tmp_path / "gateway", port=0)
    target = LocalTarget(tmp_path, gateway, command=tiny_command())
    run(target.stop())
    assert place.processes(spec.ref) == []
    assert run(target.running()) == []
    records = list((tmp_path / "gateway").glob("envoy-*/envoy.json"))
    assert len(records) == DEFAULT_ENVOYS
    for record in records:
        pid = json.loads(record.read_text())["pid"]
        assert not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    assert (tmp_path / "logs" / "replicas" / "left.1.0.log").exists()
    run(target.stop())
